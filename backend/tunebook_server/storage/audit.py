"""Who did what to which object, kept for good."""

from collections.abc import Mapping

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
    connection.execute(
        tables.audit.insert().values(actor=actor, action=action, object=target, detail=dict(detail or {}))
    )
