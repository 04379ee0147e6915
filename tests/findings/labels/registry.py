"""All labelled studies of the checklist, which tests and benchmarks/findings_rates.py ask alike."""

from collections.abc import Iterator

from tests.findings.labels import (
    boundary,
    evaluation_spacing,
    gradient_norm,
    infeasible_share,
    input_bound,
    instability,
    late_variance,
    overfitting,
    per_value,
    periodicity,
    sampling,
    saturated,
    still_improving,
    training_loss,
)
from tests.findings.labels.case import Case, Label

MODULES = (
    boundary,
    sampling,
    per_value,
    infeasible_share,
    overfitting,
    late_variance,
    still_improving,
    saturated,
    training_loss,
    instability,
    gradient_norm,
    evaluation_spacing,
    periodicity,
    input_bound,
)
CASES: tuple[Case, ...] = tuple(case for module in MODULES for case in module.CASES)


def of(item: str, label: Label) -> list[Case]:
    return [case for case in CASES if (case.item, case.label) == (item, label)]


def drawn(item: str, label: Label, *, seeds: int, first: int) -> Iterator[tuple[Case, int]]:
    """So many studies a noise level, its generators taking turns; every generator at least once."""
    found = of(item, label)
    for level in sorted({case.level for case in found}):
        here = [case for case in found if case.level == level]
        for turn in range(max(seeds, len(here))):
            yield here[turn % len(here)], first + turn
