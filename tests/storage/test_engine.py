import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.exc import OperationalError

from tunebook_server.storage import engine as storage
from tunebook_server.storage.engine import connect, transaction


def end_all_connections(database_url: str) -> None:
    engine = connect(database_url, pool_size=1)
    with engine.connect() as connection:
        others = (
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        connection.execute(text(f"SELECT pg_terminate_backend(pid, 5000) FROM ({others}) AS others"))
    engine.dispose()


def fill(engine: Engine, connections: int) -> None:
    opened = [engine.connect() for _ in range(connections)]
    for connection in opened:
        connection.close()


@pytest.mark.parametrize("guarded", [True, False])
def test_connections_that_the_server_closed_are_replaced(database_url: str, guarded: bool) -> None:
    """As after a restart of the database; the control, without the guard, hands out a dead connection."""
    engine = connect(database_url)
    if not guarded:
        event.remove(engine, "checkout", storage._refuse_dead)
    fill(engine, 3)
    end_all_connections(database_url)
    try:
        if guarded:
            for _ in range(4):
                with transaction(engine) as connection:
                    assert connection.execute(text("SELECT 1")).scalar() == 1
        else:
            with pytest.raises(OperationalError), transaction(engine) as connection:
                connection.execute(text("SELECT 1"))
    finally:
        engine.dispose()
