"""How many trials a design needs before its result is more than luck."""

import math
from collections.abc import Iterator

from tunebook_server.domain.changes import Draw, Mend, Trials
from tunebook_server.domain.lint.advice import Advice
from tunebook_server.domain.lint.reading import BUCKETS, active_share, entries
from tunebook_server.domain.study import StudyDesign
from tunebook_server.domain.study_limits import TRIALS_MOST

RULE = "too_few_trials"
PER_VALUE = 5
"""Trials of each scientific value, at least: the same as the finding on per-value sampling asks for."""
PER_NUISANCE = 5
"""Trials of each scientific value for each nuisance hyperparameter, our number: as many as per value."""
LUCKY = 20
"""Under about so many trials the best result of a search is mostly luck (Deep Learning Tuning Playbook, its
ResNet-50 example); counts from two nuisance hyperparameters on."""


def check(design: StudyDesign) -> Iterator[Advice]:
    """Configurations that a person wrote down are no search, and need no more."""
    need = needed(design)
    if design.sampler == "manual" or design.budget >= need:
        return
    values, nuisance = _values(design), _nuisance(design)
    tuned = f"{nuisance} nuisance hyperparameter{'' if nuisance == 1 else 's'}"
    each = f" for each of {values:,} scientific values" if values > 1 else ""
    yield Advice(
        rule=RULE,
        sentence=f"{design.budget:,} trials are few to tune {tuned}{each}: about {need:,} are wanted."
        if nuisance
        else f"{design.budget:,} trials give some of {values:,} scientific values fewer than {PER_VALUE}.",
        reason="A scientific value is judged by its best trial, and with few trials the best is the luckiest."
        f" Wanted are {PER_VALUE} for each scientific value and each nuisance hyperparameter,"
        f" and {LUCKY} where several are tuned together.",
        source="Deep Learning Tuning Playbook, “Striking a balance between informative and affordable"
        " experiments”",
        field="budget.trials",
        title=f"Run {need:,} trials",
        changes=more_trials(design, need),
    )


def needed(design: StudyDesign) -> int:
    values, nuisance = _values(design), _nuisance(design)
    need = max(_per_value(design), PER_NUISANCE * values * nuisance, LUCKY if nuisance > 1 else 1)
    return min(need, TRIALS_MOST)


def more_trials(design: StudyDesign, trials: int) -> tuple[Mend, ...]:
    """A grid has as many as it has: quasi-random search goes on."""
    size = design.drawing().size(design.space)
    if size is not None and size < trials:
        return (Draw("halton", {}), Trials(trials))
    return (Trials(trials),)


def _per_value(design: StudyDesign) -> int:
    """Trials until the rarest scientific value has its least, on average."""
    shares = [
        active_share(design.space, entry.node) / _size(entry.parameter.size)
        for entry in entries(design)
        if entry.scientific
    ]
    return math.ceil(min(PER_VALUE / min(shares), TRIALS_MOST) - 1e-9) if shares and min(shares) > 0 else 1


def _values(design: StudyDesign) -> int:
    """Of the scientific hyperparameter that has most."""
    return max((_size(entry.parameter.size) for entry in entries(design) if entry.scientific), default=1)


def _nuisance(design: StudyDesign) -> int:
    """Nuisance hyperparameters that a configuration has, on average."""
    shares = [active_share(design.space, entry.node) for entry in entries(design) if entry.nuisance]
    return round(sum(shares)) if sum(shares) >= 1 else int(bool(shares))


def _size(size: int | None) -> int:
    return BUCKETS if size is None else size
