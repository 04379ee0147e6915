"""The output of training jobs: appended in pieces, read from the end, from a byte on, or as a whole."""

from collections.abc import Iterator
from dataclasses import dataclass

from tunebook_server.domain.errors import Fenced, Invalid, Mismatch
from tunebook_server.domain.trial import HELD
from tunebook_server.storage import logs
from tunebook_server.storage.engine import Engine, transaction
from tunebook_server.storage.logs import MAX_PIECE_BYTES

MAX_LOG_BYTES = 64 * 1_048_576
MAX_TAIL_BYTES = 4 * 1_048_576
DOWNLOAD_BYTES = 262_144
MAX_SEQUENCE = 2**63 - 1


@dataclass(frozen=True, slots=True)
class LogTail:
    """Bytes `first_byte` (counted from the start of the attempt's output) up to, and without, `next_byte`."""

    content: bytes
    first_byte: int
    next_byte: int
    epoch: int
    size_bytes: int

    @property
    def at_end(self) -> bool:
        return self.next_byte == self.size_bytes


def append(engine: Engine, *, trial_id: int, epoch: int, sequence: int, content: bytes) -> bool:
    """Adds a piece once; False when it was there already.

    Pieces stand in the order of arrival. Raises Invalid (a piece above 1 MiB, an attempt's output above 64
    MiB), NotFound, Fenced, Mismatch (this sequence came before with another content).
    """
    _check(sequence, content)
    with transaction(engine) as connection:
        target = logs.lock(connection, trial_id=trial_id, epoch=epoch, sequence=sequence)
        if target.epoch != epoch:
            raise Fenced(
                f"attempt {epoch} no longer holds the trial", field="epoch", remedy="Stop the training job."
            )
        if target.known is not None:
            return _same(target.known, content)
        if target.state not in HELD:
            raise Fenced(f"the trial is {target.state}", remedy="Stop the training job.")
        first_byte = logs.size_bytes(connection, trial_id=trial_id, epoch=epoch)
        if first_byte + len(content) > MAX_LOG_BYTES:
            raise Invalid(
                f"the output of this attempt reached {MAX_LOG_BYTES} bytes",
                field="content",
                remedy="Print less, or write large output to a file of your own.",
            )
        fresh = logs.append(
            connection,
            trial_id=trial_id,
            epoch=epoch,
            sequence=sequence,
            first_byte=first_byte,
            content=content,
        )
        if fresh:
            return True
        known = logs.lock(connection, trial_id=trial_id, epoch=epoch, sequence=sequence).known
        return _same(known, content)


def tail(
    engine: Engine,
    *,
    trial_id: int,
    epoch: int | None = None,
    after_byte: int | None = None,
    before_byte: int | None = None,
    limit_bytes: int = 65_536,
) -> LogTail:
    """The last `limit_bytes` that an attempt (None: the newest) printed, those from `after_byte` on, or those
    up to `before_byte`.
    """
    if not 1 <= limit_bytes <= MAX_TAIL_BYTES:
        raise Invalid(
            f"limit_bytes is {limit_bytes}", field="limit_bytes", remedy=f"Use 1 to {MAX_TAIL_BYTES}."
        )
    one_end(after_byte, before_byte)
    with transaction(engine) as connection:
        wanted = logs.newest_epoch(connection, trial_id) if epoch is None else epoch
        size = logs.size_bytes(connection, trial_id=trial_id, epoch=wanted)
        if after_byte is not None:
            first = min(max(after_byte, 0), size)
            last = min(first + limit_bytes, size)
        else:
            last = size if before_byte is None else min(max(before_byte, 0), size)
            first = max(last - limit_bytes, 0)
        content = logs.read(connection, trial_id=trial_id, epoch=wanted, first_byte=first, last_byte=last)
    return LogTail(content, first, last, wanted, size)


def whole(engine: Engine, *, trial_id: int, epoch: int | None = None) -> tuple[int, Iterator[bytes]]:
    """The epoch, and what it had printed when this was asked, piece by piece: never all of it at once."""
    with transaction(engine) as connection:
        wanted = logs.newest_epoch(connection, trial_id) if epoch is None else epoch
        size = logs.size_bytes(connection, trial_id=trial_id, epoch=wanted)
    return wanted, _pieces(engine, trial_id, wanted, size)


def _pieces(engine: Engine, trial_id: int, epoch: int, size: int) -> Iterator[bytes]:
    for first in range(0, size, DOWNLOAD_BYTES):
        last = min(first + DOWNLOAD_BYTES, size)
        with transaction(engine) as connection:
            content = logs.read(connection, trial_id=trial_id, epoch=epoch, first_byte=first, last_byte=last)
        yield content


def one_end(after_byte: int | None, before_byte: int | None) -> None:
    """Raises Invalid where both are given."""
    if after_byte is not None and before_byte is not None:
        raise Invalid("both after and before are given", field="before", remedy="Use one of them.")


def _check(sequence: int, content: bytes) -> None:
    if not 0 <= sequence <= MAX_SEQUENCE:
        raise Invalid(f"sequence is {sequence}", field="sequence", remedy="Count pieces from 0.")
    if not 1 <= len(content) <= MAX_PIECE_BYTES:
        raise Invalid(
            f"the piece has {len(content)} bytes",
            field="content",
            remedy=f"Send 1 to {MAX_PIECE_BYTES} bytes.",
        )


def _same(known: bytes | None, content: bytes) -> bool:
    if known != content:
        raise Mismatch(
            "this sequence came before with another content",
            field="sequence",
            remedy="Count the sequence up by one for every new piece.",
        )
    return False
