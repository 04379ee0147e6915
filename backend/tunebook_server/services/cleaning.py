"""Use case: forget what nobody can ask for any more."""

from tunebook_server.storage import cleaning
from tunebook_server.storage.engine import Engine, transaction


def clean(engine: Engine) -> dict[str, int]:
    """Delete old idempotency keys, login codes, sessions and dead trial tokens; rows deleted, by table."""
    with transaction(engine) as connection:
        return cleaning.delete_old_rows(connection)
