"""One study of a comparison, and what each of several is called."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tunebook_server.domain.difference import short_value
from tunebook_server.domain.document import close_to, show
from tunebook_server.domain.errors import Invalid
from tunebook_server.domain.hyperparameter import same_value
from tunebook_server.domain.joined import KEY
from tunebook_server.domain.search_space import Fixed
from tunebook_server.domain.study import StudyDesign
from tunebook_server.domain.trial import Value

NAME_LETTERS = 48
TEMPLATE = "job.template"


@dataclass(frozen=True, slots=True)
class Side:
    """`feasible` and `infeasible`: ended trials; `findings` in their JSON form, None before the first."""

    id: int
    design: StudyDesign
    feasible: int = 0
    infeasible: int = 0
    findings: Sequence[Mapping[str, Any]] | None = None

    @property
    def name(self) -> str:
        """`#3 optimizer`: no other study is called that."""
        name = self.design.name
        return f"#{self.id} {name if len(name) <= NAME_LETTERS else name[: NAME_LETTERS - 1] + '…'}"

    @property
    def held(self) -> dict[str, Value]:
        """What has one value in all of the study's trials, by key: fixed hyperparameters, those with a single
        value to choose from, and the job template."""
        space, found = self.design.space, {}
        for parameter in space.parameters:
            if isinstance(parameter, Fixed):
                found[space.key(parameter)] = parameter.value
            elif parameter.size == 1:
                found[space.key(parameter)] = parameter.from_unit(0.5)
        return found if self.design.template is None else {**found, TEMPLATE: self.design.template}


@dataclass(frozen=True, slots=True)
class ToldApart:
    """`key`: what the studies are told apart by, "study" where it is their names; `names`: one a study."""

    key: str
    names: tuple[str, ...]

    @property
    def by_name(self) -> bool:
        return self.key == KEY


def told_apart(sides: Sequence[Side], by: str = "") -> ToldApart:
    """By the value of the one thing that is held in every study and differs, where it is another in each;
    else by their names, as `by="study"` asks. Raises Invalid for a `by` that is not held in all of them.
    """
    common = _common(sides)
    if by not in ("", KEY):
        if by not in common:
            remedy = (
                f"{close_to(by, list(common))}Name one that is fixed in every one of them, or leave it out."
            )
            raise Invalid(f"{show(by)} is not fixed in all of these studies", field="by", remedy=remedy)
        return ToldApart(by, _named(sides, common[by]))
    different = [key for key, values in common.items() if not _same(values)]
    if by == KEY or len(different) != 1 or not _distinct(common[different[0]]):
        return ToldApart(KEY, tuple(side.name for side in sides))
    return ToldApart(different[0], _named(sides, common[different[0]]))


def differing(sides: Sequence[Side]) -> dict[str, list[Value]]:
    """What is held in every study, but not at the same value, with the values."""
    return {key: values for key, values in _common(sides).items() if not _same(values)}


def _common(sides: Sequence[Side]) -> dict[str, list[Value]]:
    held = [side.held for side in sides]
    keys = [key for key in held[0] if all(key in each for each in held)]
    return {key: [each[key] for each in held] for key in keys}


def _same(values: Sequence[Value]) -> bool:
    return all(same_value(values[0], value) for value in values)


def _distinct(values: Sequence[Value]) -> bool:
    return not any(same_value(value, other) for place, value in enumerate(values) for other in values[:place])


def _named(sides: Sequence[Side], values: Sequence[Value]) -> tuple[str, ...]:
    """The values; where two look alike, with the study that each is of."""
    texts = [short_value(value) for value in values]
    return tuple(
        text if texts.count(text) == 1 else f"{text} (#{side.id})"
        for text, side in zip(texts, sides, strict=True)
    )
