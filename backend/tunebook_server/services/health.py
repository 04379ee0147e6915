"""Use case: is the database there?"""

from tunebook_server.storage import access
from tunebook_server.storage.engine import Engine, autocommit


def check(engine: Engine) -> None:
    """Returns when the database answers; raises what went wrong otherwise."""
    with autocommit(engine) as connection:
        access.ping(connection)
