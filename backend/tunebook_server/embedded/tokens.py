"""The credentials that `tunebook up` lays into its folder, for its own worker and this user's commands."""

import socket
from pathlib import Path

from tunebook_server.domain.errors import TunebookError
from tunebook_server.embedded.places import write_private
from tunebook_server.services import access
from tunebook_server.storage.engine import Engine

WORKER_FILE = "worker.token"
CLIENT_FILE = "client.token"


def write_tokens(engine: Engine, folder: Path) -> None:
    """DATA/worker.token anew; DATA/client.token unless the one there still works."""
    write_private(folder / WORKER_FILE, access.create_worker_token(engine, name=socket.gethostname()))
    write_client_token(engine, folder, name="tunebook up")


def write_client_token(engine: Engine, folder: Path, *, name: str) -> None:
    """DATA/client.token, the owner's, unless the one there still works."""
    if not _works(engine, folder / CLIENT_FILE):
        write_private(folder / CLIENT_FILE, access.create_owner_token(engine, name=name))


def _works(engine: Engine, file: Path) -> bool:
    try:
        access.authenticate(engine, bearer=file.read_text().strip(), session=None)
    except (OSError, TunebookError):
        return False
    return True
