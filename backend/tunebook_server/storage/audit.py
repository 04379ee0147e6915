"""Who did what to which object, kept for good."""

import json
from collections.abc import Mapping, Sequence

from tunebook_server.storage.arrays import Texts
from tunebook_server.storage.engine import Connection, straight


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
    actors = Texts([actor for actor, _ in done])
    details = Texts([json.dumps(dict(detail)) for _, detail in done])
    values = {"action": action, "object": target, "actors": actors, "details": details}
    straight(connection, _WRITE, values)


_WRITE = """
INSERT INTO audit (actor, action, object, detail)
SELECT actor, %(action)s, %(object)s, detail::jsonb
  FROM unnest(%(actors)s, %(details)s) AS done (actor, detail)
"""
