"""A log as people look at it: pieces of inert text, and the next place of some words.

Work and memory are bounded: a search reads at most `SCAN_BYTES`, window by window, and
says how far it came: to go on is another request.
"""

from dataclasses import dataclass

from tunebook_server.domain.errors import Invalid
from tunebook_server.domain.log_text import cut, first_match, folded, inert, last_match
from tunebook_server.services.logs import one_end, tail
from tunebook_server.storage import logs
from tunebook_server.storage.engine import Connection, Engine, transaction

SCAN_BYTES = 16 * 1_048_576
WINDOW_BYTES = 262_144
WORDS_LONGEST = 200
CONTEXT_BYTES = 16_384
LETTER_BYTES = 4  # of UTF-8, at most


@dataclass(frozen=True, slots=True)
class LogPiece:
    """Text of bytes `first_byte` up to `next_byte`; `at_end`: nothing follows yet."""

    text: str
    first_byte: int
    next_byte: int
    epoch: int
    size_bytes: int
    at_end: bool


@dataclass(frozen=True, slots=True)
class LogMatch:
    """The place of the words, with the text around it; pieces before and after continue where it ends."""

    first_byte: int
    next_byte: int
    before: LogPiece
    text: str
    after: LogPiece


@dataclass(frozen=True, slots=True)
class Searched:
    """`match` None: there is none from where the search began to `scanned_to`, which is the log's end (or
    start) if `complete`."""

    match: LogMatch | None
    scanned_to: int
    complete: bool
    epoch: int
    size_bytes: int


def piece(
    engine: Engine,
    *,
    trial_id: int,
    epoch: int | None = None,
    after_byte: int | None = None,
    before_byte: int | None = None,
    limit_bytes: int = 65_536,
) -> LogPiece:
    """As `logs.tail`, without cutting a letter in two; what is left out at an edge is in the piece beyond."""
    found = tail(
        engine,
        trial_id=trial_id,
        epoch=epoch,
        after_byte=after_byte,
        before_byte=before_byte,
        limit_bytes=limit_bytes,
    )
    start, end = cut(
        found.content,
        head=after_byte is None and found.first_byte > 0,
        tail=before_byte is None or before_byte >= found.size_bytes,
    )
    content = found.content[start : len(found.content) - end]
    return LogPiece(
        inert(content.decode("utf-8", "replace")),
        found.first_byte + start,
        found.next_byte - end,
        found.epoch,
        found.size_bytes,
        found.at_end,
    )


def search(
    engine: Engine,
    *,
    trial_id: int,
    words: str,
    epoch: int | None = None,
    after_byte: int | None = None,
    before_byte: int | None = None,
) -> Searched:
    """The first place of `words` that starts at `after_byte` (0) or later, or the last one that starts before
    `before_byte`; upper and lower case are one. Raises Invalid.
    """
    one_end(after_byte, before_byte)
    if not 1 <= len(words) <= WORDS_LONGEST:
        remedy = f"Search for 1 to {WORDS_LONGEST} characters."
        raise Invalid(f"the text has {len(words)} characters", field="text", remedy=remedy)
    with transaction(engine) as connection:
        wanted = logs.newest_epoch(connection, trial_id) if epoch is None else epoch
        log = _Log(connection, trial_id, wanted, logs.size_bytes(connection, trial_id=trial_id, epoch=wanted))
        if before_byte is None:
            place, scanned, complete = _forward(log, folded(words), max(after_byte or 0, 0))
        else:
            place, scanned, complete = _backward(log, folded(words), min(before_byte, log.size_bytes))
    match = None if place is None else _match(engine, log, *place)
    return Searched(match, scanned, complete, wanted, log.size_bytes)


@dataclass(frozen=True, slots=True)
class _Log:
    connection: Connection
    trial_id: int
    epoch: int
    size_bytes: int

    def read(self, first: int, last: int) -> bytes:
        return logs.read(
            self.connection, trial_id=self.trial_id, epoch=self.epoch, first_byte=first, last_byte=last
        )


_Scan = tuple[tuple[int, int] | None, int, bool]


def _forward(log: _Log, wanted: str, start: int) -> _Scan:
    """Windows overlap by less than the words are long, so a place on their border is whole in one of them."""
    overlap, at = LETTER_BYTES * len(wanted) - 1, min(start, log.size_bytes)
    stop = min(at + SCAN_BYTES, log.size_bytes)
    while at < stop:
        end = min(at + WINDOW_BYTES, log.size_bytes)
        found = first_match(log.read(at, end), wanted)
        if found is not None:
            return (at + found[0], at + found[1]), at + found[1], False
        at = end if end == log.size_bytes else end - overlap
    return None, at, at == log.size_bytes


def _backward(log: _Log, wanted: str, start: int) -> _Scan:
    overlap, before = LETTER_BYTES * len(wanted) - 1, max(start, 0)
    stop = max(before - SCAN_BYTES, 0)
    while before > stop:
        first = max(before - WINDOW_BYTES, 0)
        content = log.read(first, min(before + overlap, log.size_bytes))
        found = last_match(content, wanted, before=before - first)
        if found is not None:
            return (first + found[0], first + found[1]), first + found[0], False
        before = first
    return None, before, before == 0


def _match(engine: Engine, log: _Log, first: int, last: int) -> LogMatch:
    place = {"trial_id": log.trial_id, "epoch": log.epoch}
    before = piece(engine, before_byte=first, limit_bytes=CONTEXT_BYTES, **place)
    after = piece(engine, after_byte=last, limit_bytes=CONTEXT_BYTES, **place)
    found = tail(engine, after_byte=first, limit_bytes=last - first, **place)
    return LogMatch(first, last, before, inert(found.content.decode("utf-8", "replace")), after)
