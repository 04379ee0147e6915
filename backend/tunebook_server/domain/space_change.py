"""Widening and narrowing the search space of a running study: ranges and choices change, nothing else."""

from tunebook_server.domain.document import refuse, show
from tunebook_server.domain.errors import Fault
from tunebook_server.domain.hyperparameter import Fixed, Hyperparameter, same_value
from tunebook_server.domain.search_space import SearchSpace

REMEDY = "A running study keeps its hyperparameters; for other ones make a study that follows it."


def check_change(before: SearchSpace, after: SearchSpace) -> None:
    """Raises Invalid where trials of both spaces could not stand in one study; fields like "space.2.type"."""
    faults: list[Fault] = []
    places = {key: place for place, key in enumerate(after.keys)}
    missing = [key for key in before.keys if key not in places]
    added = [key for key in after.keys if key not in before.keys]
    for word, keys in (("misses", missing), ("adds", added)):
        if keys:
            faults.append(Fault("space", f"the space {word} {', '.join(map(show, keys[:5]))}", REMEDY))
    for key in before.keys:
        if key in places:
            faults += _faults(places[key], before.parameter(key), after.parameter(key))
    refuse(faults)


def _faults(place: int, old: Hyperparameter, new: Hyperparameter) -> list[Fault]:
    name, field = old.name, f"space.{place}"
    if old.kind != new.kind:
        return [Fault(f"{field}.type", f"{name} was {old.kind}, and is {new.kind}", REMEDY)]
    if old.role != new.role:
        return [Fault(f"{field}.role", f"{name} was {old.role}, and is {new.role}", REMEDY)]
    if isinstance(old, Fixed) and isinstance(new, Fixed) and not same_value(old.value, new.value):
        problem = f"{name} was fixed at {show(old.value)}, and is at {show(new.value)}"
        return [Fault(f"{field}.value", problem, REMEDY)]
    return []
