"""Changes to a study's design: how a proposal says what the next study does differently."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import ClassVar, cast

from tunebook_server.domain.conditions import KEY_LONGEST
from tunebook_server.domain.document import Document, refuse, show, value_problem
from tunebook_server.domain.errors import Fault, Invalid
from tunebook_server.domain.hyperparameter_document import read_hyperparameter
from tunebook_server.domain.hyperparameter_rules import CHOICES_MOST, Role, Scale
from tunebook_server.domain.samplers import SAMPLERS
from tunebook_server.domain.study_limits import TRIALS_MOST
from tunebook_server.domain.trial import Value

CHANGES_MOST = 200


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
    role: Role

    change: ClassVar[str] = "assign"


@dataclass(frozen=True, slots=True)
class Rescale:
    """Search this key on the other scale, linear or log, between the same ends."""

    key: str
    scale: Scale

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


Change = Range | Choices | Fix | Vary | Trials | Draw
"""What a follow-up does differently."""
Mend = Change | Assign | Rescale | Depend | Remark
"""What a design does differently before it starts."""
KINDS: Mapping[str, type[Change]] = {kind.change: kind for kind in (Range, Choices, Fix, Vary, Trials, Draw)}


def document(changes: Sequence[Mend]) -> list[dict[str, object]]:
    """Their JSON form, which `parse` reads back."""
    return [{"change": change.change, **asdict(change)} for change in changes]


def parse(document: object) -> tuple[Change, ...]:
    """Raises Invalid with every fault found, fields like "changes.2.low". Whether a change fits a study only
    `changes_applied.applied` can tell."""
    if not isinstance(document, list | tuple) or len(document) > CHANGES_MOST:
        seen = (
            f"has {len(document)} entries" if isinstance(document, list | tuple) else f"is {show(document)}"
        )
        remedy = f"Give a list of up to {CHANGES_MOST} changes."
        raise Invalid(f"changes {seen}", field="changes", remedy=remedy)
    faults: list[Fault] = []
    read = [
        _read(Document(entry, field=f"changes.{place}", faults=faults))
        for place, entry in enumerate(document)
    ]
    refuse(faults)
    return tuple(change for change in read if change is not None)


def _read(entry: Document) -> Change | None:
    """None with at least one fault added; a change made beside faults is never used."""
    before = len(entry.faults)
    kind = entry.word("change", tuple(KINDS))
    if len(entry.faults) > before:
        return None
    entry.only("change", *KINDS[kind].__dataclass_fields__)
    return _READERS[kind](entry)


def _read_choices(entry: Document) -> Choices:
    choices = entry.items("choices", most=CHOICES_MOST)
    return Choices(_read_key(entry), tuple(_read_value(entry, "choices", each) for each in choices))


def _read_vary(entry: Document) -> Vary:
    parameter = entry.part("parameter")
    read_hyperparameter(parameter.content, field=parameter.field, faults=entry.faults)
    return Vary(cast(Mapping[str, object], parameter.content))


def _read_draw(entry: Document) -> Draw:
    options = entry.part("options")
    return Draw(entry.word("name", tuple(SAMPLERS)), cast(Mapping[str, object], options.content))


def _read_key(entry: Document) -> str:
    return entry.text("key", limit=KEY_LONGEST)


def _read_value(entry: Document, key: str, value: object) -> Value:
    if problem := value_problem(value):
        entry.fault(key, problem, "Give a text of up to 200 characters, a number or a boolean.")
        return ""
    return cast(Value, value)


_READERS: Mapping[str, Callable[[Document], Change]] = {
    Range.change: lambda entry: Range(_read_key(entry), entry.number("low"), entry.number("high")),
    Choices.change: _read_choices,
    Fix.change: lambda entry: Fix(_read_key(entry), _read_value(entry, "value", entry.get("value"))),
    Vary.change: _read_vary,
    Trials.change: lambda entry: Trials(entry.integer("trials", low=1, high=TRIALS_MOST)),
    Draw.change: _read_draw,
}
