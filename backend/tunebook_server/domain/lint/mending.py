"""A design with an advice's changes made."""

from collections.abc import Mapping
from typing import Any, cast

from tunebook_server.domain.changes import (
    Assign,
    Choices,
    Depend,
    Draw,
    Fix,
    Mend,
    Range,
    Remark,
    Rescale,
    Trials,
    Vary,
)
from tunebook_server.domain.hyperparameter import Float, Integer
from tunebook_server.domain.lint.advice import Advice
from tunebook_server.domain.samplers import sampler
from tunebook_server.domain.samplers.grid import OPTION
from tunebook_server.domain.search_space import SearchSpace
from tunebook_server.domain.study import StudyDesign

Document = dict[str, Any]
ENDS = ("low", "high", "scale", "choices", "role")


def mended(design: StudyDesign, advice: Advice) -> StudyDesign:
    """Raises Invalid where the changes do not fit the rest of the design."""
    document = design.document()
    space = cast(list[Document], document["space"])
    by_key = dict(zip(design.space.keys, space, strict=True))
    for change in advice.changes:
        _make(change, document, space, by_key)
    _fit_sampler(document, space)
    return StudyDesign.parse(document)


def _make(change: Mend, document: Document, space: list[Document], by_key: Mapping[str, Document]) -> None:
    """`by_key`: entries by the keys that they had before any change."""
    match change:
        case Range(key, low, high):
            by_key[key].update(low=low, high=high)
        case Choices(key, choices):
            by_key[key].update(choices=list(choices))
        case Rescale(key, scale):
            by_key[key].update(scale=scale)
        case Assign(key, role):
            by_key[key].update(role=role)
        case Fix(key, value):
            _hold(by_key[key], value)
        case Vary(parameter):
            _search(dict(parameter), space)
        case Depend(key, parent, values):
            _hang(by_key[key], parent, list(values), space, by_key)
        case Trials(trials):
            document["budget"]["trials"] = trials
        case Draw(name, options):
            document["sampler"].update(name=name, options=dict(options))
        case Remark(text):
            document["note"] = "\n".join(filter(None, (document["note"], text)))


def _hold(entry: Document, value: object) -> None:
    for name in ENDS:
        entry.pop(name, None)
    entry.update(type="fixed", value=value)


def _search(parameter: Document, space: list[Document]) -> None:
    """In place of the entry of its name and condition; a new one after the last of its name."""
    place = len(space)
    for at, entry in enumerate(space):
        if entry["name"] == parameter["name"]:
            if entry.get("when") == parameter.get("when"):
                space[at] = parameter
                return
            place = at + 1
    space.insert(place, parameter)


def _hang(
    entry: Document, parent: str, values: list[object], space: list[Document], by_key: Mapping[str, Document]
) -> None:
    """The parent stands before it afterwards."""
    entry["when"] = {parent: values}
    name = parent.rpartition("/")[2]
    above = by_key.get(parent) or next(each for each in space if each["name"] == name)
    place = _place(above, space)
    if place > _place(entry, space):
        space.insert(place + 1, entry)
        del space[_place(entry, space)]


def _place(entry: Document, space: list[Document]) -> int:
    return next(place for place, each in enumerate(space) if each is entry)


def _fit_sampler(document: Document, space: list[Document]) -> None:
    """A grid forgets the points of what is no axis any more; its budget is at most its size."""
    drawn = document["sampler"]
    if drawn["name"] != "grid":
        return
    parsed = SearchSpace.parse(space)
    points = drawn["options"].get(OPTION)
    if isinstance(points, Mapping):
        axes = {node.key for node in parsed.nodes if isinstance(node.parameter, Float | Integer)}
        kept = {key: count for key, count in points.items() if key in axes}
        drawn["options"] = {OPTION: kept}
    size = sampler(drawn["name"], drawn["options"]).size(parsed)
    if size is not None:
        document["budget"]["trials"] = min(document["budget"]["trials"], size)
