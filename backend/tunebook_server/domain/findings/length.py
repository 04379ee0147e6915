"""The length of training: the fixed hyperparameter that says it, and a draft with another one."""

from tunebook_server.domain.changes import Fix
from tunebook_server.domain.document import as_integer, is_number
from tunebook_server.domain.findings.finding import Proposal
from tunebook_server.domain.hyperparameter_rules import INTEGER_LIMIT
from tunebook_server.domain.search_space import Fixed, SearchSpace

NAMES = (
    "max_train_steps",
    "train_steps",
    "training_steps",
    "num_train_steps",
    "total_steps",
    "max_steps",
    "num_steps",
    "n_steps",
    "steps",
    "max_iterations",
    "num_iterations",
    "iterations",
    "max_iters",
    "max_epochs",
    "num_train_epochs",
    "num_epochs",
    "n_epochs",
    "train_epochs",
    "epochs",
)
"""What training commands call it, the plainest word first; `trainer.max_epochs` counts too."""


def other_length(space: SearchSpace, factor: float) -> Proposal | None:
    """Training `factor` times as long; None where the space does not hold its length fixed."""
    name = _name(space)
    lengths = [each for each in space.parameters if isinstance(each, Fixed) and each.name == name]
    changes = []
    for each in lengths:
        value = _times(each.value, factor)
        if value is None:
            return None
        changes.append(Fix(space.key(each), value))
    if not changes:
        return None
    verb = "Raise" if factor > 1 else "Lower"
    return Proposal(f"{verb} {name} to {changes[0].value:,}", tuple(changes))


def _name(space: SearchSpace) -> str | None:
    fixed = {each.name for each in space.parameters if isinstance(each, Fixed)}
    by_word = {plain_name(name): name for name in sorted(fixed)}
    return next((by_word[word] for word in NAMES if word in by_word), None)


def plain_name(name: str) -> str:
    """`Trainer.max-steps` -> `max_steps`."""
    return name.rpartition(".")[2].replace("-", "_").lower()


def _times(value: object, factor: float) -> int | float | None:
    """Two digits are enough of a shorter length; whole numbers stay whole. None where nothing changes."""
    if not is_number(value) or value <= 0:
        return None
    product = value * factor if factor > 1 else float(f"{value * factor:.2g}")
    if as_integer(value) is None:
        return product
    whole = max(round(product), 1)
    return whole if whole != value and whole <= INTEGER_LIMIT else None
