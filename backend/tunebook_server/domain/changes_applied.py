"""A study's design with changes applied to it: the design of the next study."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

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
from tunebook_server.domain.conditions import key_below
from tunebook_server.domain.document import close_to, refuse, show
from tunebook_server.domain.errors import Fault, Invalid
from tunebook_server.domain.hyperparameter import Float, Hyperparameter, Integer, When
from tunebook_server.domain.hyperparameter_changed import among, assigned, between, held, rescaled
from tunebook_server.domain.hyperparameter_document import read_hyperparameter
from tunebook_server.domain.samplers import sampler
from tunebook_server.domain.samplers.grid import OPTION
from tunebook_server.domain.search_space import SearchSpace
from tunebook_server.domain.study import StudyDesign
from tunebook_server.domain.trial import Value

_PLACE = re.compile(r"space\.(\d+)")


@dataclass(slots=True)
class _Entry:
    """A hyperparameter of the next study. `key` and `parent`: as the study before would call them, so that
    every change finds its own whatever the others did; `touched`: the last change of it."""

    key: str
    parameter: Hyperparameter
    parent: str | None
    touched: int | None = None
    wanted: bool = False
    """Named by a Vary: without a place in the space it is a fault, where others are left out."""


def applied(design: StudyDesign, changes: Sequence[Mend]) -> StudyDesign:
    """The design with the changes, all named by the keys of `design`; later ones win over earlier ones.

    Hyperparameters whose condition can no longer hold leave the search. A sampler that has less than the
    budget lowers it, and one whose every configuration was wanted stays whole, unless the budget is changed
    too. Raises Invalid with fields like "changes.2.low" for each change that cannot be applied.
    """
    return _Next(design).apply(changes)


class _Next:
    def __init__(self, design: StudyDesign) -> None:
        self.design = design
        self.faults: list[Fault] = []
        self.entries: dict[str, _Entry] = {}
        self.trials: int | None = None
        self.draw: int | None = None
        self.remarks: list[str] = []
        space = design.space
        for key, node in zip(space.keys, space.nodes, strict=True):
            parent = None if node.parent is None else space.nodes[node.parent].key
            self.entries[key] = _Entry(key, node.parameter, parent)

    def apply(self, changes: Sequence[Mend]) -> StudyDesign:
        self.changes = changes
        last = {each.key: at for at, each in enumerate(changes) if isinstance(each, Range | Choices | Fix)}
        for place, change in enumerate(changes):
            if isinstance(change, Range | Choices | Fix) and last[change.key] != place:
                continue
            try:
                self._change(place, change)
            except Invalid as invalid:
                self.faults += [_of_change(place, fault) for fault in invalid.faults]
        refuse(self.faults)
        kept = list(self._kept())
        refuse(self.faults)
        return self._design(kept)

    def _change(self, place: int, change: Mend) -> None:
        match change:
            case Trials():
                self.trials = place
            case Draw():
                self.draw = place
            case Remark():
                self.remarks.append(change.text)
            case Vary():
                self._vary(place, change)
            case Depend():
                self._depend(place, change)
            case _:
                entry = self._entry(change.key)
                entry.parameter, entry.touched = _changed(entry.parameter, change), place

    def _entry(self, key: str) -> _Entry:
        entry = self.entries.get(key)
        if entry is None:
            remedy = f"{close_to(key, list(self.entries))}Use one of the keys of the search space."
            raise Invalid(f"the search space has no hyperparameter {show(key)}", field="key", remedy=remedy)
        return entry

    def _vary(self, place: int, change: Vary) -> None:
        faults: list[Fault] = []
        parameter = read_hyperparameter(dict(change.parameter), field="parameter", faults=faults)
        refuse(faults)
        assert parameter is not None
        parent = self._parent(parameter)
        if parent is not None and parameter.when is not None:
            values = tuple(_as_written(parent.parameter, value) for value in parameter.when.values)
            parameter = replace(parameter, when=When(parameter.when.parent, values))
        above = None if parent is None else parent.key
        there = self._there(parameter, above)
        if there is not None:
            there.parameter, there.touched, there.wanted = parameter, place, True
            return
        when = parameter.when
        key = (
            parameter.name if above is None or when is None else key_below(above, when.values, parameter.name)
        )
        twins = [entry.key for entry in self.entries.values() if entry.parameter.name == parameter.name]
        self.entries[key] = _Entry(key, parameter, above, place, wanted=True)
        if twins:
            self._move([key], behind=twins[-1])

    def _depend(self, place: int, change: Depend) -> None:
        """With all that hangs on it, behind its parent."""
        entry = self._entry(change.key)
        word = change.parent.rpartition("/")[2]
        named = [each for each in self.entries.values() if each.parameter.name == word]
        above = self.entries.get(change.parent) or (named[0] if named else self._entry(change.parent))
        entry.parameter = replace(entry.parameter, when=When(change.parent, change.values))
        entry.parent, entry.touched = above.key, place
        keys = list(self.entries)
        if keys.index(above.key) > keys.index(entry.key):
            below = {entry.key}
            for key, each in self.entries.items():
                below |= {key} if each.parent in below else set()
            self._move([key for key in keys if key in below], behind=above.key)

    def _move(self, keys: Sequence[str], *, behind: str) -> None:
        moved = {key: self.entries.pop(key) for key in keys}
        order: dict[str, _Entry] = {}
        for key, entry in self.entries.items():
            order[key] = entry
            if key == behind:
                order |= moved
        self.entries = order

    def _parent(self, parameter: Hyperparameter) -> _Entry | None:
        if parameter.when is None:
            return None
        word = parameter.when.parent
        named = [entry for entry in self.entries.values() if entry.parameter.name == word]
        found = self.entries.get(word) or (named[0] if len(named) == 1 else None)
        if found is None:
            problem = f"{parameter.name}: the search space has {len(named)} hyperparameters {show(word)}"
            remedy = f"{close_to(word, list(self.entries))}Name the parent by its key."
            raise Invalid(problem, field="parameter.when", remedy=remedy)
        return found

    def _there(self, parameter: Hyperparameter, above: str | None) -> _Entry | None:
        """The hyperparameter of this name under this condition, in whatever order that names its values."""
        wanted = None if parameter.when is None else set(parameter.when.values)
        for entry in self.entries.values():
            when = entry.parameter.when
            if (
                entry.parameter.name == parameter.name
                and entry.parent == above
                and wanted == (None if when is None else set(when.values))
            ):
                return entry
        return None

    def _kept(self) -> Iterator[_Entry]:
        """Those that can be active, without the values of their conditions that no longer come up."""
        kept: dict[str, _Entry] = {}
        for entry in self.entries.values():
            when, above = entry.parameter.when, kept.get(entry.parent or "")
            if when is not None:
                values = () if above is None else tuple(v for v in when.values if _can(above.parameter, v))
                if not values and entry.wanted and entry.touched is not None:
                    problem = f"{entry.parameter.name}: its condition cannot hold in this space"
                    remedy = f"Keep a value of {when.parent} for which it exists."
                    self.faults.append(_of_change(entry.touched, Fault("parameter.when", problem, remedy)))
                if not values:
                    continue
                entry.parameter = replace(entry.parameter, when=When(when.parent, values))
            kept[entry.key] = entry
            yield entry

    def _design(self, kept: Sequence[_Entry]) -> StudyDesign:
        keys = _new_keys(kept)
        try:
            space = SearchSpace.parse([each.document() for each in _renamed(kept, keys)])
            document = self.design.document()
            name, options = self._sampler(kept, keys)
            trials = self._budget(space, name, options)
            document["sampler"] = {"name": name, "seed": self.design.seed, "options": options}
            document["budget"] = {
                "trials": trials,
                "parallel": self.design.parallel,
                "attempts": self.design.max_attempts,
            }
            document["note"] = "\n".join(filter(None, (self.design.note, *self.remarks)))
            document["space"] = space.document()
            return StudyDesign.parse(document)
        except Invalid as invalid:
            refuse([self._blamed(fault, kept) for fault in invalid.faults])
            raise

    def _sampler(self, kept: Sequence[_Entry], keys: Mapping[str, str]) -> tuple[str, Mapping[str, object]]:
        """A grid counts points by key: under the new keys, and no more for what is not searched any more."""
        change = None if self.draw is None else self.changes[self.draw]
        if isinstance(change, Draw):
            name, options = change.name, change.options
        else:
            name, options = self.design.sampler, self.design.sampler_options
        points = options.get(OPTION)
        if name != "grid" or not isinstance(points, Mapping):
            return name, options
        axes = {entry.key for entry in kept if isinstance(entry.parameter, Float | Integer)}
        still = {
            keys.get(key, key): count for key, count in points.items() if key in axes or change is not None
        }
        return name, {**options, OPTION: still}

    def _budget(self, space: SearchSpace, name: str, options: Mapping[str, object]) -> int:
        change = None if self.trials is None else self.changes[self.trials]
        if isinstance(change, Trials):
            return change.trials
        made = sampler(name, options)
        made.check(space)
        size, budget = made.size(space), self.design.budget
        whole = self.draw is None and budget == self.design.drawing().size(self.design.space)
        return budget if size is None or (budget <= size and not whole) else size

    def _blamed(self, fault: Fault, kept: Sequence[_Entry]) -> Fault:
        """The fault, laid at the change that it comes from."""
        found = _PLACE.match(fault.field)
        place: int | None = None
        if found is not None and int(found[1]) < len(kept):
            entry: _Entry | None = kept[int(found[1])]
            while place is None and entry is not None:
                place, entry = entry.touched, self.entries.get(entry.parent or "")
        elif fault.field.startswith("budget"):
            place = self.trials
        elif fault.field.startswith("sampler"):
            place = self.draw
        if place is None:
            problem = f"the changes cannot be applied together: {fault.problem}"
            return Fault("changes", problem, fault.remedy)
        return _of_change(place, Fault("", fault.problem, fault.remedy))


def _of_change(place: int, fault: Fault) -> Fault:
    field = f"changes.{place}.{fault.field}".rstrip(".")
    return Fault(field, f"change {place + 1} cannot be applied: {fault.problem}", fault.remedy)


def _changed(parameter: Hyperparameter, change: Range | Choices | Fix | Assign | Rescale) -> Hyperparameter:
    match change:
        case Range():
            return between(parameter, change.low, change.high)
        case Choices():
            return among(parameter, change.choices)
        case Fix():
            return held(parameter, change.value)
        case Assign():
            return assigned(parameter, change.role)
        case Rescale():
            return rescaled(parameter, change.scale)


def _can(parent: Hyperparameter, value: Value) -> bool:
    try:
        parent.check(value)
    except Invalid:
        return False
    return True


def _as_written(parent: Hyperparameter, value: Value) -> Value:
    """As the parent itself writes it; what it cannot be stays, and is found out later."""
    try:
        return parent.check(value)
    except Invalid:
        return value


def _new_keys(kept: Sequence[_Entry]) -> dict[str, str]:
    """By the key before the key afterwards: conditions have lost values."""
    keys: dict[str, str] = {}
    for entry in kept:
        when, name = entry.parameter.when, entry.parameter.name
        keys[entry.key] = name if when is None else key_below(keys[entry.parent or ""], when.values, name)
    return keys


def _renamed(kept: Sequence[_Entry], keys: Mapping[str, str]) -> Iterator[Hyperparameter]:
    """Parents called by their name where they were and only one has it, else by their key."""
    names = [entry.parameter.name for entry in kept]
    parents = {entry.key: entry.parameter.name for entry in kept}
    for entry in kept:
        when = entry.parameter.when
        if when is None or entry.parent is None:
            yield entry.parameter
            continue
        name = parents[entry.parent]
        word = name if when.parent == name and names.count(name) == 1 else keys[entry.parent]
        yield replace(entry.parameter, when=When(word, when.values))
