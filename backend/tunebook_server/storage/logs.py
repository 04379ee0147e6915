"""What training jobs print, in pieces as they arrive."""

from dataclasses import dataclass

from tunebook_server.domain.errors import NotFound
from tunebook_server.storage.engine import Connection

MAX_PIECE_BYTES = 1_048_576
"""No piece is longer, so the one that holds a byte starts at most so far before it."""


@dataclass(frozen=True, slots=True)
class Target:
    """The trial that output belongs to, locked; `known` came under this sequence before."""

    state: str
    epoch: int
    known: bytes | None


LOCK = """
SELECT t.state, t.epoch,
       (SELECT l.content FROM log_chunks l
         WHERE l.trial_id = t.id AND l.epoch = %(epoch)s AND l.sequence = %(sequence)s)
  FROM trials t WHERE t.id = %(trial_id)s FOR NO KEY UPDATE OF t
"""


def lock(connection: Connection, *, trial_id: int, epoch: int, sequence: int) -> Target:
    """Raises NotFound."""
    values = {"trial_id": trial_id, "epoch": epoch, "sequence": sequence}
    row = connection.exec_driver_sql(LOCK, values).one_or_none()
    if row is None:
        raise NotFound(f"there is no trial {trial_id}")
    return Target(*row)


def size_bytes(connection: Connection, *, trial_id: int, epoch: int) -> int:
    """Read after the lock, so that the next piece starts where the last one ends."""
    query = """
        SELECT first_byte + length(content) FROM log_chunks WHERE trial_id = %s AND epoch = %s
         ORDER BY first_byte DESC LIMIT 1
    """
    return int(connection.exec_driver_sql(query, (trial_id, epoch)).scalar() or 0)


def append(
    connection: Connection, *, trial_id: int, epoch: int, sequence: int, first_byte: int, content: bytes
) -> bool:
    """False when this sequence is there already."""
    statement = """
        INSERT INTO log_chunks (trial_id, epoch, sequence, first_byte, content) VALUES (%s, %s, %s, %s, %s)
        ON CONFLICT DO NOTHING
    """
    values = (trial_id, epoch, sequence, first_byte, content)
    return connection.exec_driver_sql(statement, values).rowcount == 1


def newest_epoch(connection: Connection, trial_id: int) -> int:
    """The newest epoch with output, 0 for none."""
    query = "SELECT coalesce(max(epoch), 0) FROM log_chunks WHERE trial_id = %s"
    epoch: int = connection.exec_driver_sql(query, (trial_id,)).scalar_one()
    return epoch


READ = """
SELECT substring(content FROM greatest(%(first)s - first_byte, 0)::integer + 1
                          FOR least(%(last)s - first_byte, length(content))::integer
                              - greatest(%(first)s - first_byte, 0)::integer)
  FROM log_chunks
 WHERE trial_id = %(trial_id)s AND epoch = %(epoch)s
   AND first_byte < %(last)s AND first_byte > %(first)s - %(piece)s
   AND first_byte + length(content) > %(first)s
 ORDER BY first_byte
"""


def read(connection: Connection, *, trial_id: int, epoch: int, first_byte: int, last_byte: int) -> bytes:
    """The bytes from `first_byte` up to, and without, `last_byte`."""
    values = {
        "trial_id": trial_id,
        "epoch": epoch,
        "first": first_byte,
        "last": last_byte,
        "piece": MAX_PIECE_BYTES,
    }
    return b"".join(connection.exec_driver_sql(READ, values).scalars())
