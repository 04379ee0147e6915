"""How often the findings of labelled studies are right."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.findings.labels.case import Case
from tunebook_server.domain.findings import Verdict

ALARMS = (Verdict.WARN, Verdict.FAIL)


@dataclass(slots=True)
class Rate:
    """Of `asked` studies: `right` by their label, `alarms` that warned or failed, `errors` that raised;
    `wrong` counts by generator and noise level."""

    asked: int = 0
    right: int = 0
    alarms: int = 0
    errors: int = 0
    wrong: Counter[str] = field(default_factory=Counter)


def rate(studies: Iterable[tuple[Case, int]]) -> Rate:
    found = Rate()
    for case, seed in studies:
        found.asked += 1
        try:
            finding = case.ask(seed)
        except Exception:
            found.errors += 1
            found.wrong[str(case)] += 1
            continue
        found.alarms += finding.verdict in ALARMS
        if case.right(finding):
            found.right += 1
        else:
            found.wrong[str(case)] += 1
    return found
