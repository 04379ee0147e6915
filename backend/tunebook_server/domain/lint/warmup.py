"""Warmup is added to the run; a long one is no thing to sweep."""

from collections.abc import Iterator
from dataclasses import dataclass

from tunebook_server.domain.changes import Choices, Fix, Mend, Range, Remark
from tunebook_server.domain.document import is_number
from tunebook_server.domain.hyperparameter import Categorical, Fixed, Float, Integer
from tunebook_server.domain.lint.advice import Advice
from tunebook_server.domain.lint.reading import Entry, entries, numbers, run_lengths, whole
from tunebook_server.domain.study import StudyDesign

RULE = "warmup_long"
LENGTHENS = 0.05
"""Share of the run above which the run is made longer by the warmup."""
TOO_LONG = 0.10
"""Share of the run above which a warmup is too long to sweep."""
SOURCE = "Deep Learning Tuning Playbook, “Learning rate warmup”"


@dataclass(frozen=True, slots=True)
class Warmup:
    """`longest`: what the design allows, in steps (or epochs) like `length`, or as a share of it. `run`: the
    hyperparameter that says how long a run is, None where none does."""

    entry: Entry
    longest: float
    is_share: bool
    run: Entry | None
    length: int

    @property
    def share(self) -> float:
        return self.longest if self.is_share else self.longest / self.length

    @property
    def kept(self) -> float:
        """The longest that stays; where no run can be made longer, one that needs no longer run."""
        if self.is_share:
            return min(self.longest, TOO_LONG if self.run else LENGTHENS)
        return min(self.longest, int(TOO_LONG * self.length))

    @property
    def lengthened(self) -> int:
        """The run with what stays of the warmup in front of it."""
        return self.length + round(self.kept * (self.length if self.is_share else 1))


def check(design: StudyDesign) -> Iterator[Advice]:
    """A run that was made longer is known by the remark in the note: the numbers alone cannot tell."""
    for entry in entries(design, "warmup_steps", "warmup_epochs", "warmup_share"):
        warmup = _read(design, entry)
        if warmup is None or warmup.share <= LENGTHENS:
            continue
        if warmup.run and _remark(warmup, warmup.length, warmup.longest) in design.note:
            continue
        yield _advice(warmup)


def _read(design: StudyDesign, entry: Entry) -> Warmup | None:
    """None where nothing says how much of a run it is."""
    longest = max(numbers(entry.parameter), default=0.0)
    is_share = entry.kind == "warmup_share" or longest < 1
    if is_share:
        runs = run_lengths(design, "train_steps", "train_epochs")
    else:
        runs = run_lengths(design, "train_epochs" if entry.kind == "warmup_epochs" else "train_steps")
    if longest <= 0 or not (runs or is_share):
        return None
    run = runs[0] if runs else None
    length = whole(run.parameter.value) if run and isinstance(run.parameter, Fixed) else 0
    return Warmup(entry, longest, is_share, run, length)


def _advice(warmup: Warmup) -> Advice:
    entry, run, kept = warmup.entry, warmup.run, warmup.kept
    too_long = f": above {TOO_LONG:.0%} it is too long to sweep" if warmup.share > TOO_LONG else ""
    cut = _cut(entry, kept) if kept < warmup.longest else ()
    words = [f"warm up for at most {_amount(warmup, kept)}"] if cut else []
    longer: tuple[Mend, ...] = ()
    if run is not None:
        remark = Remark(_remark(warmup, warmup.lengthened, kept))
        longer = (Fix(run.key, warmup.lengthened), remark)
        words.insert(0, f"train {run.name} {warmup.lengthened:,}")
    title = ", ".join(words)
    return Advice(
        rule=RULE,
        sentence=f"{entry.name} takes {'up to ' if entry.varied else ''}{warmup.share:.0%} of the"
        f" run{too_long}.",
        reason=f"Warmup longer than {LENGTHENS:.0%} of max_train_steps eats into the training that this"
        f" length was"
        " chosen for, so the run is made longer by the warmup; a long one costs every trial that much.",
        source=SOURCE,
        field=entry.field("value" if isinstance(entry.parameter, Fixed) else "type"),
        title=title[:1].upper() + title[1:],
        changes=(*cut, *longer),
        key=entry.key,
    )


def _cut(entry: Entry, kept: float) -> tuple[Mend, ...]:
    """Nothing above what is kept."""
    parameter = entry.parameter
    end = int(kept) if isinstance(parameter, Integer) or kept == int(kept) else float(f"{kept:.6g}")
    if isinstance(parameter, Float | Integer) and parameter.low < end:
        return (Range(entry.key, parameter.low, end),)
    if isinstance(parameter, Categorical):
        choices = tuple(each for each in parameter.choices if not is_number(each) or each <= kept)
        if choices:
            return (Choices(entry.key, choices),)
    return (Fix(entry.key, end),)


def _remark(warmup: Warmup, length: int, longest: float) -> str:
    assert warmup.run is not None
    return f"{warmup.run.name} {length} includes {_amount(warmup, longest)} of {warmup.entry.name}."


def _amount(warmup: Warmup, longest: float) -> str:
    return f"{longest:.3%}" if warmup.is_share else f"{longest:.10g}"
