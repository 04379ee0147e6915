"""The tables in `storage/tables.py` are the tables that the migrations make."""

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Column, Engine, Integer, MetaData

from tunebook_server.storage.tables import metadata


def _differences(engine: Engine, tables: MetaData) -> list[object]:
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        return list(compare_metadata(context, tables))


def test_mirror_migrations(engine: Engine) -> None:
    assert _differences(engine, metadata) == []


def test_comparison_sees_a_column_too_many(engine: Engine) -> None:
    copy = MetaData()
    for table in metadata.tables.values():
        table.to_metadata(copy)
    copy.tables["trials"].append_column(Column("colour", Integer))
    assert "add_column" in str(_differences(engine, copy))
