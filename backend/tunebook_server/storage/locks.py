"""Advisory locks: one process at a time, released by Postgres when its holder dies."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, text

SWEEP_LOCK = 0x54755377  # "TuSw"
FINDINGS_LOCK = 0x54754669  # "TuFi"


@contextmanager
def try_lock(engine: Engine, lock: int) -> Iterator[bool]:
    """Whether this process holds `lock` for the length of the block; never waits for it."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        held = bool(connection.scalar(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": lock}))
        try:
            yield held
        finally:
            if held:
                connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": lock})
