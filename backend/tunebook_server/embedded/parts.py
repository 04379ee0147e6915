"""The parts of the tree as commands: what each is started with, and what it is told."""

import os
import socket
import sys
from pathlib import Path

from tunebook_broker import broker_url
from tunebook_server.embedded.answers import LOOPBACK
from tunebook_server.embedded.errors import UpFailed
from tunebook_server.embedded.tokens import WORKER_FILE

BACKLOG = 2048
JOB_GRACE_SECONDS = 3


def parts(
    folder: Path, database_url: str, address: str, listener: int, slots: int | None
) -> list[tuple[str, list[str], dict[str, str]]]:
    """Name, argv and environment of each child."""
    shared = {**os.environ, "TUNEBOOK_DATA": str(folder), "TUNEBOOK_BROKER_URL": broker_url(database_url)}
    backend = {
        **shared,
        "TUNEBOOK_DATABASE_URL": database_url,
        "TUNEBOOK_HOST": LOOPBACK,
        "TUNEBOOK_PORT": address.rpartition(":")[2],
    }
    worker = {
        "TUNEBOOK_GRACE_SECONDS": str(JOB_GRACE_SECONDS),
        **shared,
        "TUNEBOOK_URL": address,
        "TUNEBOOK_WORKER_TOKEN_FILE": str(folder / WORKER_FILE),
    }
    server_flags = ["--no-migrate", "--fd", str(listener)]
    worker_flags = [] if slots is None else ["--slots", str(slots)]
    return [
        ("server", [*python("tunebook_server.commands", "server"), *server_flags], backend),
        ("control", python("tunebook_server.commands", "control"), backend),
        ("worker", [*python("tunebook_worker.commands", "worker"), *worker_flags], worker),
    ]


def python(module: str, command: str) -> list[str]:
    """The start of an argv: this interpreter, running one of our commands."""
    # -P: a file of the current folder that is named like a module of ours must not be imported for it.
    program = f"import sys; from {module} import {command} as run; sys.exit(run(sys.argv[1:]))"
    return [sys.executable, "-P", "-c", program]


def listen(port: int) -> socket.socket:
    """The server's socket, ours so that it outlives a crash of the server: connections wait meanwhile."""
    try:
        return socket.create_server((LOOPBACK, port), backlog=BACKLOG)
    except OSError as error:
        raise UpFailed(
            f"Port {port} on {LOOPBACK} cannot be used ({error.strerror}). "
            "Choose another with --port, or any free one with --port 0."
        ) from None
