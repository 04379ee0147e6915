from sqlalchemy import Engine, inspect

from tunebook_server.storage.migrate import migrate


def test_up_down_up(engine: Engine) -> None:
    before = set(inspect(engine).get_table_names())
    migrate(engine, "base")
    assert set(inspect(engine).get_table_names()) == {"alembic_version"}
    migrate(engine)
    assert set(inspect(engine).get_table_names()) == before
