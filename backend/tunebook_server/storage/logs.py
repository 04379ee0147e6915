"""What training jobs print, in pieces as they arrive."""

from dataclasses import dataclass

from tunebook_server.domain.errors import NotFound
from tunebook_server.storage.engine import Connection


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
        SELECT coalesce(max(first_byte + length(content)), 0) FROM log_chunks
         WHERE trial_id = %s AND epoch = %s
    """
    size: int = connection.exec_driver_sql(query, (trial_id, epoch)).scalar_one()
    return size


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


def read(connection: Connection, *, trial_id: int, epoch: int, first_byte: int, last_byte: int) -> bytes:
    """The bytes from `first_byte` up to, and without, `last_byte`."""
    query = """
        SELECT first_byte, content FROM log_chunks
         WHERE trial_id = %s AND epoch = %s AND first_byte < %s AND first_byte + length(content) > %s
         ORDER BY first_byte
    """
    found = connection.exec_driver_sql(query, (trial_id, epoch, last_byte, first_byte)).all()
    if not found:
        return b""
    start = found[0][0]
    return b"".join(content for _, content in found)[first_byte - start : last_byte - start]
