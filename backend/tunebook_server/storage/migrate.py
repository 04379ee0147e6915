"""Brings a database to the newest schema, or to a named revision."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, text

MIGRATION_LOCK = 0x54756E65  # "Tune": one migrating process at a time


def migrations_folder() -> Path:
    """In a checkout `migrations/`, in an installed wheel `tunebook_migrations/`."""
    package = Path(__file__).resolve().parents[1]
    installed = package.parent / "tunebook_migrations"
    return installed if installed.is_dir() else package.parents[1] / "migrations"


def migrate(engine: Engine, revision: str = "head") -> None:
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()))
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": MIGRATION_LOCK})
        connection.commit()
        try:
            config.attributes["connection"] = connection
            if revision == "base":
                command.downgrade(config, revision)
            else:
                command.upgrade(config, revision)
            connection.commit()
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": MIGRATION_LOCK})
            connection.commit()
