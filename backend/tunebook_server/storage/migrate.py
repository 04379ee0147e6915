"""Brings a database to the newest schema, or to a named revision."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

MIGRATION_LOCK = 0x54756E65  # "Tune": one migrating process at a time


def migrations_folder() -> Path:
    """In a checkout `migrations/`, in an installed wheel `tunebook_migrations/`."""
    package = Path(__file__).resolve().parents[1]
    installed = package.parent / "tunebook_migrations"
    return installed if installed.is_dir() else package.parents[1] / "migrations"


def knows(revision: str) -> bool:
    """Whether this Tunebook has that migration; a newer one's it has not."""
    return revision in {
        known.revision for known in ScriptDirectory(str(migrations_folder())).walk_revisions()
    }


def revision_of(connection: Connection) -> str:
    """The newest migration that this database has had; empty for none."""
    return MigrationContext.configure(connection).get_current_revision() or ""


def migrate_within(connection: Connection) -> None:
    """To the newest schema, inside the transaction that `connection` is in."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def migrate(engine: Engine, revision: str = "head") -> None:
    config = _config()
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


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()))
    return config
