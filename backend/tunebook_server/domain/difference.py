"""What one study's design does differently from another's, in rows that can be shown and kept."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tunebook_server.domain.document import value_text
from tunebook_server.domain.findings.thresholds import BY_NAME
from tunebook_server.domain.hyperparameter import Boolean, Categorical, Fixed, Float, Hyperparameter, Integer
from tunebook_server.domain.search_space import SearchSpace
from tunebook_server.domain.study import StudyDesign
from tunebook_server.domain.trial import Value

Kind = Literal["added", "removed", "fixed", "freed", "changed"]

_Path = tuple[tuple[str, frozenset[Value]], ...]
"""From the root on: a name, and the values of the one above for which it exists."""

TEXT_LONGEST = 200
CHOICES_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Difference:
    """`field`: the key of a hyperparameter (the later one, where both studies have it), or a field of the
    study document like "budget.trials"; `before` and `after`: short texts, empty where there is nothing."""

    kind: Kind
    field: str
    before: str
    after: str

    @property
    def words(self) -> str:
        """`learning_rate 1e-4 … 1 → 1e-4 … 10`."""
        match self.kind:
            case "added":
                return f"{self.field} added: {self.after}"
            case "removed":
                return f"{self.field} removed: {self.before}"
            case "fixed":
                return f"{self.field} {self.before} → fixed at {self.after}"
        return f"{self.field} {self.before} → {self.after}"

    def document(self) -> dict[str, str]:
        return {"kind": self.kind, "field": self.field, "before": self.before, "after": self.after}


def difference(before: StudyDesign, after: StudyDesign) -> list[Difference]:
    """First the search space, in the order of the later study, then the fields. Names, goals, notes, rounds,
    parents and what is kept of checkpoints are not compared, and neither is the order of hyperparameters."""
    return [*_spaces(before.space, after.space), *_fields(before, after)]


def _fields(before: StudyDesign, after: StudyDesign) -> Iterator[Difference]:
    old, new = plain_fields(before), plain_fields(after)
    for field, value in new.items():
        if json.dumps(old[field], sort_keys=True) != json.dumps(value, sort_keys=True):
            yield Difference("changed", field, field_text(old[field]), field_text(value))


def plain_fields(design: StudyDesign) -> dict[str, object]:
    """What is compared beside the search space, by the field of the study document."""
    return {
        "objective.metric": design.objective.metric,
        "objective.direction": design.objective.direction,
        "objective.evaluation": design.objective.evaluation,
        "sampler.name": design.sampler,
        "sampler.options": dict(design.sampler_options),
        "sampler.seed": design.seed,
        "constraints": ", ".join(each.words() for each in design.constraints) or None,
        "scheduler.name": design.scheduler,
        "scheduler.options": dict(design.scheduler_options),
        "budget.trials": design.budget,
        "budget.parallel": design.parallel,
        "budget.attempts": design.max_attempts,
        "job.template": design.template,
        **{f"checks.{name}": design.checks.get(name, each.default) for name, each in BY_NAME.items()},
    }


def field_text(value: object) -> str:
    if value is None or value == {}:
        return "none"
    return _short(json.dumps(value, ensure_ascii=False) if isinstance(value, Mapping) else str(value))


def _spaces(before: SearchSpace, after: SearchSpace) -> Iterator[Difference]:
    old = dict(zip(before.keys, before.parameters, strict=True))
    pairs = _paired(before, after)
    for key, parameter in zip(after.keys, after.parameters, strict=True):
        if key not in pairs:
            yield Difference("added", key, "", described(parameter))
        elif (row := _changed(key, old[pairs[key]], parameter)) is not None:
            yield row
    left = old.keys() - set(pairs.values())
    for key, parameter in old.items():
        if key in left:
            yield Difference("removed", key, described(parameter), "")


def _paired(before: SearchSpace, after: SearchSpace) -> dict[str, str]:
    """By key of the later study the key of the same hyperparameter in the earlier one: the same key, or the
    same names from the root with conditions that share a value each."""
    old, new = _paths(before), _paths(after)
    pairs = {key: key for key in new if key in old}
    lost = {key: path for key, path in old.items() if key not in pairs}
    for key, path in new.items():
        if key not in pairs:
            found = next((other for other, there in lost.items() if _alike(there, path)), None)
            if found is not None:
                pairs[key] = found
                del lost[found]
    return pairs


def _paths(space: SearchSpace) -> dict[str, _Path]:
    paths: dict[str, _Path] = {}
    for node in space.nodes:
        above = () if node.parent is None else paths[space.nodes[node.parent].key]
        paths[node.key] = (*above, (node.parameter.name, node.allowed))
    return paths


def _alike(left: _Path, right: _Path) -> bool:
    return len(left) == len(right) and all(
        name == other and (values == others or values & others)
        for (name, values), (other, others) in zip(left, right, strict=True)
    )


def _changed(key: str, old: Hyperparameter, new: Hyperparameter) -> Difference | None:
    if json.dumps(old.document()) == json.dumps(new.document()):
        return None
    kind: Kind = "changed"
    if isinstance(old, Fixed) != isinstance(new, Fixed):
        kind = "fixed" if isinstance(new, Fixed) else "freed"
    aspects = [(_values(old), _values(new))]
    if kind == "changed":
        aspects += [(old.kind, new.kind), (_scale(old), _scale(new)), (old.role, new.role)]
    if _condition(old) != _condition(new):
        aspects.append((_condition(old), _condition(new)))
    shown = [aspects[0], *(pair for pair in aspects[1:] if pair[0] != pair[1])]
    if len(shown) > 1 and kind == "changed" and shown[0][0] == shown[0][1]:
        shown = shown[1:]
    before, after = (_short(", ".join(word for word in side if word)) for side in zip(*shown, strict=True))
    return Difference(kind, key, before, after)


def described(parameter: Hyperparameter) -> str:
    """`1e-4 … 1, log`, `sgd, adam, scientific`; `64, fixed`."""
    scale = "log" if _scale(parameter) == "log" else ""
    role = "" if parameter.role == "nuisance" else parameter.role
    return _short(", ".join(word for word in (_values(parameter), scale, role) if word))


def _values(parameter: Hyperparameter) -> str:
    match parameter:
        case Float() | Integer():
            return f"{short_value(parameter.low)} … {short_value(parameter.high)}"
        case Categorical():
            return _listed(parameter.choices)
        case Boolean():
            return "true, false"
    return short_value(parameter.value)


def _scale(parameter: Hyperparameter) -> str:
    return parameter.scale if isinstance(parameter, Float | Integer) else ""


def _condition(parameter: Hyperparameter) -> str:
    when = parameter.when
    return "always" if when is None else f"if {when.parent} is {_listed(when.values)}"


def _listed(values: Sequence[Value]) -> str:
    some = ", ".join(short_value(value) for value in values[:CHOICES_SHOWN])
    return some if len(values) <= CHOICES_SHOWN else f"{some} … ({len(values)} values)"


def short_value(value: Value) -> str:
    """All the digits that tell a number from its neighbours: `1e-4`, `0.25`, `64`."""
    if isinstance(value, bool) or not isinstance(value, float):
        return value_text(value)
    if value == 0 or 1e-3 <= abs(value) < 1e6:
        return repr(value).removesuffix(".0")
    digits = next(n for n in range(17) if float(f"{value:.{n}e}") == value)
    mantissa, exponent = f"{value:.{digits}e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def _short(text: str) -> str:
    return text if len(text) <= TEXT_LONGEST else text[: TEXT_LONGEST - 1] + "…"
