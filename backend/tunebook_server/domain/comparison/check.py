"""One question about the fairness of a comparison, and its answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tunebook_server.domain.findings.finding import Evidence, Verdict

ORDER = (Verdict.FAIL, Verdict.WARN, Verdict.NOT_ENOUGH_DATA, Verdict.PASS)
NAMES_SHOWN = 4


@dataclass(frozen=True, slots=True)
class Check:
    """`sentence`: what was found and, where it does not pass, why that is unfair; `evidence`: its numbers."""

    item: str
    verdict: Verdict
    sentence: str
    evidence: Mapping[str, Evidence]


def overall(checks: Sequence[Check]) -> Verdict:
    """The worst of them: a comparison is as fair as its least fair part."""
    return worst([check.verdict for check in checks])


def caution(checks: Sequence[Check]) -> str:
    """What belongs beside every word about which study is better."""
    worst_of_all = overall(checks)
    items = [check.item for check in checks if check.verdict == worst_of_all]
    match worst_of_all:
        case Verdict.FAIL:
            return f"This is no fair comparison: {listed(items)}."
        case Verdict.WARN:
            return f"Fair with reservations: {listed(items)}."
        case Verdict.NOT_ENOUGH_DATA:
            return f"Whether this is fair is not known yet: {listed(items)}."
    return f"A fair comparison by all of {len(items)} checks."


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    return min(verdicts, key=ORDER.index, default=Verdict.PASS)


def listed(words: Sequence[str], *, between: str = ", ") -> str:
    """The first four, and how many more there are."""
    more = f" and {len(words) - NAMES_SHOWN} more" if len(words) > NAMES_SHOWN else ""
    return between.join(words[:NAMES_SHOWN]) + more
