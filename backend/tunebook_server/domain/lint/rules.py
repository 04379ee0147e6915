"""The rules of the lint in the order in which a person should read their advice."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from itertools import islice

from tunebook_server.domain.changes_applied import applied
from tunebook_server.domain.errors import Invalid
from tunebook_server.domain.lint import (
    adam,
    batch_size,
    cycles,
    fairness,
    ranges,
    roles,
    search,
    shared_range,
    train_steps,
    trials,
    warmup,
)
from tunebook_server.domain.lint.advice import Advice
from tunebook_server.domain.lint.reading import values
from tunebook_server.domain.study import StudyDesign

ADVICE_MOST = 20
"""Shown at once: the rest comes as these are mended."""
VALUES_MOST = 20_000
"""Read to try the mends of one design, which takes about 0.2 s: of a huge one, fewer are shown at once."""
RULES: Mapping[str, Callable[[StudyDesign], Iterable[Advice]]] = {
    train_steps.RULE: train_steps.check,
    batch_size.RULE: batch_size.check,
    fairness.RULE: fairness.check,
    roles.LEARNING_RATE_RULE: roles.check_learning_rate,
    roles.STRENGTH_RULE: roles.check_strength,
    shared_range.RULE: shared_range.check,
    ranges.RULE: ranges.check,
    trials.RULE: trials.check,
    search.RULE: search.check,
    adam.RULE: adam.check,
    cycles.RULE: cycles.check,
    warmup.RULE: warmup.check,
}


def lint(design: StudyDesign) -> list[Advice]:
    """Every advice has a mend that fits the design, or none."""
    found = (advice for rule in RULES.values() for advice in rule(design))
    most = max(1, min(ADVICE_MOST, VALUES_MOST // _size(design)))
    return [_fitting(design, advice) for advice in islice(found, most)]


def _size(design: StudyDesign) -> int:
    """Values that its document holds, about."""
    return sum(
        1 + len(values(parameter) or ()) + len(parameter.when.values if parameter.when else ())
        for parameter in design.space.parameters
    )


def _fitting(design: StudyDesign, advice: Advice) -> Advice:
    """Without its mend where that breaks something else: a grid too large, a list of configurations that
    holds other values, a name that is taken."""
    try:
        if advice.changes:
            applied(design, advice.changes)
            return advice
    except Invalid:
        pass
    return replace(advice, changes=(), title="")
