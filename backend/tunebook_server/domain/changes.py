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


@dataclass(frozen=True, slots=True)
class Assign:
    """Another role, scientific or nuisance, of this searched key."""

    key: str
    role: str

    change: ClassVar[str] = "assign"


@dataclass(frozen=True, slots=True)
class Rescale:
    """Search this key on the other scale, linear or log, between the same ends."""

    key: str
    scale: str

    change: ClassVar[str] = "rescale"


@dataclass(frozen=True, slots=True)
class Depend:
    """This key exists only where its parent (a name or a key) holds one of these values, whatever it depended
    on before; from then on it has another key."""

    key: str
    parent: str
    values: tuple[Value, ...]

    change: ClassVar[str] = "depend"


@dataclass(frozen=True, slots=True)
class Remark:
    """A line more in the note: what a reader of the study must know about it."""

    text: str

    change: ClassVar[str] = "remark"


Change = Range | Choices | Fix | Vary | Trials | Draw | Assign | Rescale | Depend | Remark
KINDS: Mapping[str, type[Change]] = {
    kind.change: kind for kind in (Range, Choices, Fix, Vary, Trials, Draw, Assign, Rescale, Depend, Remark)
}


def document(changes: Sequence[Change]) -> list[dict[str, object]]:
    """Their JSON form."""
    return [{"change": change.change, **asdict(change)} for change in changes]
