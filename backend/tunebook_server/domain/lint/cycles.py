"""A cyclical schedule ends where its learning rate is lowest."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tunebook_server.domain.changes import Fix, Mend
from tunebook_server.domain.hyperparameter import Fixed
from tunebook_server.domain.lint.advice import Advice
from tunebook_server.domain.lint.reading import Entry, entries, run_lengths, shown, values, whole
from tunebook_server.domain.study import StudyDesign

RULE = "cycle_unfinished"
RESTARTS_SOURCE = "Loshchilov & Hutter, “SGDR: Stochastic gradient descent with warm restarts”, 2017"
CYCLES_SOURCE = "Smith, “Cyclical learning rates for training neural networks”, 2017"
CYCLES_MOST = 1_000
GROWTH = 2
"""T_mult of cycles that grow (Loshchilov & Hutter, 2017)."""


@dataclass(frozen=True, slots=True)
class Restarts:
    """Cycle after cycle from T_0 on, each `growth` times the one before."""

    growth: int

    def cycles(self, first: int, length: int) -> int:
        """In a run of this length; 0 where it ends inside one."""
        at, cycle, count = 0, first, 0
        while at < length:
            if self.growth == 1:
                return 0 if length % first else length // first
            at, cycle, count = at + cycle, cycle * self.growth, count + 1
        return count if at == length else 0

    def units(self, count: int) -> int:
        """First cycles that `count` cycles are long."""
        return count if self.growth == 1 else (self.growth**count - 1) // (self.growth - 1)


def check(design: StudyDesign) -> Iterator[Advice]:
    lengths = run_lengths(design, "train_steps", "train_epochs")
    if not lengths:
        return
    for entry in entries(design, "t_0"):
        yield from _restarting(design, entry, lengths)
    for entry in entries(design, "t_max", "cycle", "half_cycle"):
        yield from _repeating(entry, lengths)


def _repeating(entry: Entry, lengths: Sequence[Entry]) -> Iterator[Advice]:
    """A period of which the run holds an odd number (annealing down and up again), any (full cycles) or an
    even number (halves)."""
    fits = {"t_max": _odd, "half_cycle": _even}.get(entry.kind or "", _any)
    periods = [whole(value) for value in values(entry.parameter) or ()]
    if any(all(period and fits(_length(run), period) for period in periods) for run in lengths if periods):
        return
    length = _length(lengths[0])
    now = periods[0] if periods and periods[0] else length
    found = [length // n for n in range(1, CYCLES_MOST) if not length % n and fits(length, length // n)]
    if not found:
        return
    best = min(found, key=lambda period: abs(length / period - length / now))
    yield _advice(entry, lengths[0], f"{entry.name} {best:,}", (Fix(entry.key, best),), CYCLES_SOURCE)


def _restarting(design: StudyDesign, entry: Entry, lengths: Sequence[Entry]) -> Iterator[Advice]:
    growing = next((each for each in entries(design, "t_mult") if isinstance(each.parameter, Fixed)), None)
    growth = whole(growing.parameter.value) if growing and isinstance(growing.parameter, Fixed) else 1
    restarts = Restarts(growth or 1)
    periods = [whole(value) for value in values(entry.parameter) or ()]
    if any(
        all(period and restarts.cycles(period, _length(run)) for period in periods)
        for run in lengths
        if periods
    ):
        return
    length = _length(lengths[0])
    now = min(periods[0], length) if periods and periods[0] else length
    changes: tuple[Mend, ...] = ()
    if growing is not None and restarts.growth == 1:
        restarts, changes = Restarts(GROWTH), (Fix(growing.key, GROWTH),)
    count = 1
    while restarts.units(count + 1) * now <= length:
        count = count + 1 if restarts.growth > 1 else length // now
        if restarts.growth == 1:
            break
    first = max(1, length // restarts.units(count))
    changes += (Fix(entry.key, first),)
    if first * restarts.units(count) != length:
        changes += (Fix(lengths[0].key, first * restarts.units(count)),)
    words = f"{count} whole cycle{'' if count == 1 else 's'} from {entry.name} {first:,}"
    yield _advice(entry, lengths[0], words, changes, RESTARTS_SOURCE)


def _advice(entry: Entry, run: Entry, words: str, changes: tuple[Mend, ...], source: str) -> Advice:
    return Advice(
        rule=RULE,
        sentence=f"With {entry.name} {_seen(entry)} a run of {_length(run):,} ends in the middle of a cycle.",
        reason="A run should end where the learning rate is lowest: at a high rate the last steps undo"
        " what the cycle"
        " has reached. Cosine restarts end well with T_mult above 1 and a run of whole cycles; cosine"
        " annealing"
        " with a T_max that divides the run an odd number of times.",
        source=source,
        field=entry.field("value"),
        title=f"Train {words}",
        changes=changes,
        key=entry.key,
    )


def _seen(entry: Entry) -> str:
    found = values(entry.parameter)
    return shown(found[0]) if found and len(found) == 1 else "searched"


def _length(run: Entry) -> int:
    assert isinstance(run.parameter, Fixed)
    return whole(run.parameter.value)


def _odd(length: int, period: int) -> bool:
    return length % period == 0 and length // period % 2 == 1


def _even(length: int, period: int) -> bool:
    return length % (2 * period) == 0


def _any(length: int, period: int) -> bool:
    return length % period == 0
