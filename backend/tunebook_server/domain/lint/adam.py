"""How many of Adam's parameters a budget can tune."""

from collections.abc import Iterator, Mapping

from tunebook_server.domain.changes import Fix
from tunebook_server.domain.hyperparameter_names import Kind, kind
from tunebook_server.domain.lint.advice import Advice
from tunebook_server.domain.lint.reading import Entry, active_share, entries
from tunebook_server.domain.study import StudyDesign

RULE = "adam_budget"
TRIALS: Mapping[Kind, int] = {"beta1": 10, "epsilon": 25, "beta2": 100}
"""Trials from which on each is tuned beside the learning rate (Deep Learning Tuning Playbook, "How should
Adam's hyperparameters be tuned?"); "substantially more" than 25, for beta2, is our 100."""
USUAL: Mapping[Kind, float] = {"beta1": 0.9, "epsilon": 1e-8, "beta2": 0.999}
"""Kingma & Ba, "Adam", 2015."""
FAMILY = ("adam", "lamb")
"""An optimiser with one of these in its name has Adam's parameters."""


def check(design: StudyDesign) -> Iterator[Advice]:
    for entry in entries(design, *TRIALS):
        if not entry.nuisance or allowed(design, entry) or not _is_adams(design, entry):
            continue
        assert entry.kind is not None
        trials, need, usual = _trials(design, entry), TRIALS[entry.kind], USUAL[entry.kind]
        yield Advice(
            rule=RULE,
            sentence=f"{entry.name} is searched with about {trials} trial{'' if trials == 1 else 's'};"
            f" it is worth tuning from {need} on.",
            reason="Under 10 trials tune only the learning rate, from 10 on beta1 too, from 25 on"
            " epsilon, and beta2"
            " with far more: each dimension thins out the others.",
            source="Deep Learning Tuning Playbook, “How should Adam's hyperparameters be tuned?”",
            field=entry.field("type"),
            title=f"Hold {entry.name} at {usual:g}",
            changes=(Fix(entry.key, usual),),
            key=entry.key,
        )


def allowed(design: StudyDesign, entry: Entry) -> bool:
    """Whether the budget is large enough to tune it; true of what is not Adam's."""
    need = TRIALS.get(entry.kind) if entry.kind else None
    return need is None or _trials(design, entry) >= need


def _trials(design: StudyDesign, entry: Entry) -> int:
    """That will have it, on average."""
    return round(design.budget * active_share(design.space, entry.node))


def _is_adams(design: StudyDesign, entry: Entry) -> bool:
    """Not where it exists only under optimisers of other families."""
    asked = [
        values
        for place, values in entry.node.needs.items()
        if kind(design.space.parameters[place].name) == "optimizer"
    ]
    return all(any(part in str(value).lower() for value in one for part in FAMILY) for one in asked)
