"""The migrated database that every test's own is a copy of."""

from tunebook_server.embedded.postgres import Postgres
from tunebook_server.storage.engine import connect
from tunebook_server.storage.migrate import migrate


def make_template(server: Postgres) -> None:
    engine = connect(server.url("postgres"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("CREATE DATABASE template")
    engine.dispose()
    engine = connect(server.url("template"))
    migrate(engine)
    engine.dispose()
