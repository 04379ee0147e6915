"""Changes to a study's design: how a proposal says what the next study does differently."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import ClassVar

from tunebook_server.domain.trial import Value


@dataclass(frozen=True, slots=True)
class Range:
    """Search this key between other ends."""

    key: str
    low: float
    high: float

    change: ClassVar[str] = "range"


@dataclass(frozen=True, slots=True)
class Choices:
    """Search this key among these values only."""

    key: str
    choices: tuple[Value, ...]

    change: ClassVar[str] = "choices"


@dataclass(frozen=True, slots=True)
class Fix:
    """Hold this key at one value: a searched one leaves the search, a fixed one changes its value."""

    key: str
    value: Value

    change: ClassVar[str] = "fix"


@dataclass(frozen=True, slots=True)
class Vary:
    """Search what was fixed, or was not there: `parameter` is an entry of a search space document."""

    parameter: Mapping[str, object]

    change: ClassVar[str] = "vary"


@dataclass(frozen=True, slots=True)
class Trials:
    """Another budget."""

    trials: int

    change: ClassVar[str] = "trials"


@dataclass(frozen=True, slots=True)
class Draw:
    """Another sampler."""

    name: str
    options: Mapping[str, object]

    change: ClassVar[str] = "draw"


Change = Range | Choices | Fix | Vary | Trials | Draw
KINDS: Mapping[str, type[Change]] = {kind.change: kind for kind in (Range, Choices, Fix, Vary, Trials, Draw)}


def document(changes: Sequence[Change]) -> list[dict[str, object]]:
    """Their JSON form."""
    return [{"change": change.change, **asdict(change)} for change in changes]
