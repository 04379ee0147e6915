"""Deletes rows whose time is over: each statement bounded by age, none touches a study, trial or point."""

from sqlalchemy import Connection, text

IDEMPOTENCY_KEYS_KEPT = "24 hours"
LOGINS_KEPT = "1 day"
DEAD_TOKENS_KEPT = "1 day"

_OLD_ROWS = {
    "idempotency_keys": f"created_at < now() - interval '{IDEMPOTENCY_KEYS_KEPT}'",
    "login_codes": f"expires_at < now() - interval '{LOGINS_KEPT}'",
    "login_attempts": f"at < now() - interval '{LOGINS_KEPT}'",
    "sessions": f"expires_at < now() - interval '{LOGINS_KEPT}'",
    # A trial's token is dead with its epoch; kept a day so that late replays are told "fenced".
    "tokens": f"""kind = 'trl' AND created_at < now() - interval '{DEAD_TOKENS_KEPT}' AND NOT EXISTS (
        SELECT FROM trials WHERE trials.id = trial_id AND trials.epoch = tokens.epoch
        AND (finished_at IS NULL OR finished_at > now() - interval '{DEAD_TOKENS_KEPT}'))""",
}


def delete_old_rows(connection: Connection) -> dict[str, int]:
    """How many rows went, by table."""
    return {
        table: connection.execute(text(f"DELETE FROM {table} WHERE {old}")).rowcount  # noqa: S608 (constants above)
        for table, old in _OLD_ROWS.items()
    }
