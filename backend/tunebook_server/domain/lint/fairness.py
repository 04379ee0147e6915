"""Scientific values compare fairly only when the optimiser is tuned for each of them."""

from collections.abc import Iterator

from tunebook_server.domain.changes import Vary
from tunebook_server.domain.hyperparameter import Fixed
from tunebook_server.domain.hyperparameter_names import Kind
from tunebook_server.domain.lint.adam import allowed
from tunebook_server.domain.lint.advice import Advice
from tunebook_server.domain.lint.opened import opened
from tunebook_server.domain.lint.reading import entries
from tunebook_server.domain.study import StudyDesign

RULE = "optimizer_held"
ASKED: tuple[Kind, ...] = ("architecture", "optimizer", "batch_size")
TUNED: tuple[Kind, ...] = ("learning_rate", "momentum", "beta1", "beta2", "schedule", "decay_factor")


def check(design: StudyDesign) -> Iterator[Advice]:
    """A beta that the budget is too small to tune may stay as it is."""
    asked = next((entry for entry in entries(design, *ASKED) if entry.scientific), None)
    if asked is None:
        return
    for entry in entries(design, *TUNED):
        if not isinstance(entry.parameter, Fixed) or not allowed(design, entry):
            continue
        searched = opened(entry.parameter, entry.kind)
        if searched is None:
            continue
        names = " The training command must know the names." if entry.kind == "schedule" else ""
        yield Advice(
            rule=RULE,
            sentence=f"{entry.name} is held while {asked.name} is scientific.",
            reason=f"The best {entry.name} differs between the values of {asked.name}: held, it favours"
            f" the value"
            f" that it happens to suit.{names}",
            source="Deep Learning Tuning Playbook, “Identifying scientific, nuisance, and fixed"
            " hyperparameters”",
            field=entry.field("type"),
            title=f"Search {entry.name} as nuisance",
            changes=(Vary(searched),),
            key=entry.key,
        )
