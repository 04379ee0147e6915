"""How well compared studies were tuned: their trials, how they were drawn, and what the checklist says."""

from collections.abc import Iterator, Sequence

from tunebook_server.domain.comparison.check import Check, listed, worst
from tunebook_server.domain.comparison.side import Side
from tunebook_server.domain.findings import boundary, infeasible_share, instability, per_value, sampling
from tunebook_server.domain.findings.finding import Verdict
from tunebook_server.domain.isolation import COMPARED_FROM_TRIALS

UNEVEN_FACTOR = 2  # between the largest and the smallest number of trials
ITEMS = (boundary.ITEM, sampling.ITEM, per_value.ITEM, infeasible_share.ITEM, instability.ITEM)
"""Those of the checklist that say whether the best trial of a study is as good as its search space allows."""
SENTENCE_LETTERS = 160


def trials(sides: Sequence[Side]) -> Check:
    counts = {side.name: side.feasible + side.infeasible for side in sides}
    few = [f"{side.name} has {side.feasible}" for side in sides if side.feasible < COMPARED_FROM_TRIALS]
    least, most = min(counts.values()), max(counts.values())
    if few:
        sentence = f"{COMPARED_FROM_TRIALS} feasible trials are needed of each: {listed(few)}."
        return Check("trials", Verdict.NOT_ENOUGH_DATA, sentence, counts)
    if most > UNEVEN_FACTOR * least:
        sentence = (
            f"Between {least:,} and {most:,} trials: more than twice as many. "
            "The isolation compares at the smallest number; the bests alone favour the largest."
        )
        return Check("trials", Verdict.WARN, sentence, counts)
    said = f"{least:,} trials" if least == most else f"{least:,} to {most:,} trials"
    return Check("trials", Verdict.PASS, f"Each has about as many: {said}.", counts)


def sampler(sides: Sequence[Side]) -> Check:
    drawn = {side.name: side.design.sampler for side in sides}
    kinds = sorted(set(drawn.values()))
    if len(kinds) == 1:
        return Check("sampler", Verdict.PASS, f"All were drawn by {kinds[0]}.", drawn)
    sentence = f"Drawn by {' and '.join(kinds)}: what found better points may be the sampler."
    return Check("sampler", Verdict.WARN, sentence, drawn)


def findings(sides: Sequence[Side]) -> Iterator[Check]:
    """One check for each of the items that any of the studies has."""
    without = [side.name for side in sides if side.findings is None]
    if without:
        sentence = f"The checklist has not looked at {listed(without)} yet."
        yield Check("findings", Verdict.NOT_ENOUGH_DATA, sentence, {"studies": len(without)})
    for item in ITEMS:
        found = [(side, *_of(side, item)) for side in sides]
        seen = [(side, verdict, sentence) for side, verdict, sentence in found if verdict is not None]
        if not seen:
            continue
        verdict = worst([verdict for _, verdict, _ in seen])
        open_ = [f"{side.name}: {sentence}" for side, each, sentence in seen if each == verdict]
        said = (
            listed(open_, between=" ") if verdict != Verdict.PASS else f"Passes in {_all(len(seen), sides)}."
        )
        yield Check(item, verdict, said, {side.name: str(each) for side, each, _ in seen})


def _of(side: Side, item: str) -> tuple[Verdict | None, str]:
    """The worst of the study's findings of this item, and its sentence; None where it has none."""
    found = [each for each in side.findings or () if each["item"] == item]
    if not found:
        return None, ""
    verdict = worst([Verdict(each["verdict"]) for each in found])
    sentence = next(str(each["sentence"]) for each in found if each["verdict"] == verdict)
    cut = sentence if len(sentence) <= SENTENCE_LETTERS else sentence[: SENTENCE_LETTERS - 1] + "…"
    return verdict, cut


def _all(seen: int, sides: Sequence[Side]) -> str:
    if seen == len(sides):
        return "all of them"
    others = "" if any(side.findings is None for side in sides) else ", the only ones that it applies to"
    return f"{seen} of {len(sides)}{others}"
