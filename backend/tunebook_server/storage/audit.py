"""Who did what to which object, kept for good."""

from collections.abc import Mapping, Sequence

from tunebook_server.storage import tables
from tunebook_server.storage.engine import Connection


def write(
    connection: Connection,
    *,
    actor: str,
    action: str,
    target: str,
    detail: Mapping[str, object] | None = None,
) -> None:
    """One row; `target` like "trial:12", `actor` like "user:ada", "worker:box" or "system"."""
    write_all(connection, [(actor, detail or {})], action=action, target=target)


def write_all(
    connection: Connection, done: Sequence[tuple[str, Mapping[str, object]]], *, action: str, target: str
) -> None:
    """A row for each actor and detail: what several did to the same object at once."""
    rows = [
        {"actor": actor, "action": action, "object": target, "detail": dict(detail)} for actor, detail in done
    ]
    connection.execute(tables.audit.insert(), rows)
