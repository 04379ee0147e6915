"""Under each optimiser a learning rate is a hyperparameter of its own, with a range of its own."""

from collections.abc import Iterator

from tunebook_server.domain.changes import Depend, Mend, Vary
from tunebook_server.domain.hyperparameter import Categorical
from tunebook_server.domain.hyperparameter_names import Kind
from tunebook_server.domain.lint.advice import Advice
from tunebook_server.domain.lint.reading import Entry, entries, shown
from tunebook_server.domain.study import StudyDesign
from tunebook_server.domain.trial import Value

RULE = "range_shared"
OWN: tuple[Kind, ...] = ("learning_rate", "momentum", "beta1", "beta2", "epsilon")
"""What belongs to the optimiser also where no condition says so."""
COPIES_MOST = 20
"""Beyond it nobody reads the form any more."""


def check(design: StudyDesign) -> Iterator[Advice]:
    optimizer = next((entry for entry in entries(design, "optimizer") if entry.varied), None)
    if optimizer is None or not isinstance(optimizer.parameter, Categorical):
        return
    choices = optimizer.parameter.choices
    for entry in entries(design):
        if not entry.varied or entry.place == optimizer.place:
            continue
        shared: tuple[Value, ...] = ()
        if entry.node.parent == optimizer.place:
            shared = tuple(value for value in choices if value in entry.node.allowed)
        elif entry.kind in OWN and entry.node.parent is None:
            shared = choices
        if len(shared) > 1:
            yield _advice(entry, optimizer, shared)


def _advice(entry: Entry, optimizer: Entry, shared: tuple[Value, ...]) -> Advice:
    names = ", ".join(shown(value) for value in shared[:3]) + (", …" if len(shared) > 3 else "")
    return Advice(
        rule=RULE,
        sentence=f"{entry.name} has one range for {names}.",
        reason=f"{entry.name} means another thing under each {optimizer.name}, and its good values can"
        f" lie decades"
        " apart: one shared range is wrong for one of them, and their plots would be mixed.",
        source="Deep Learning Tuning Playbook, “Identifying scientific, nuisance, and fixed hyperparameters”",
        field=entry.field("when"),
        title=f"Give each {optimizer.name} its own {entry.name}",
        changes=_apart(entry, optimizer, shared),
        key=entry.key,
    )


def _apart(entry: Entry, optimizer: Entry, shared: tuple[Value, ...]) -> tuple[Mend, ...]:
    """Copies with the same range to start from; a person knows which one to move."""
    if len(shared) > COPIES_MOST:
        return ()
    first, *others = shared
    copies = (Vary({**entry.parameter.document(), "when": {optimizer.key: [value]}}) for value in others)
    return (Depend(entry.key, optimizer.key, (first,)), *copies)
