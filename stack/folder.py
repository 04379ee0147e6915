"""The folder of a stack: passwords made for it alone, ports that stay, logs, and what commands find it by."""

import json
import secrets
import socket
from pathlib import Path

from stack.places import POSTGRES_PASSWORD, REDIS_PASSWORD
from tunebook_server.embedded.places import open_log, private_folder, write_private

SERVICES_WITH_PORTS = ("postgres", "redis", "server-1", "server-2", "proxy")
ADDRESS_FILE = "address"


class Folder:
    def __init__(self, path: Path) -> None:
        self.path = path

    def prepare(self) -> None:
        """Everything in it is private to this user."""
        for name in ("", "secrets", "logs", "redis", "control", "workers"):
            private_folder(self.path / name)
        for name in (POSTGRES_PASSWORD, REDIS_PASSWORD):
            if not (self.path / "secrets" / name).exists():
                self.write_secret(self.path / "secrets" / name, secrets.token_urlsafe(32))

    def write_secret(self, file: Path, secret: str) -> None:
        write_private(file, f"{secret}\n")

    def ports(self, *, proxy: int) -> dict[str, int]:
        """As they were, so that whoever knew an address finds it again; `proxy` 0: any."""
        file = self.path / "ports.json"
        ports = json.loads(file.read_text()) if file.exists() else _free_ports()
        if proxy:
            ports["proxy"] = proxy
        write_private(file, json.dumps(ports))
        return {name: int(ports[name]) for name in SERVICES_WITH_PORTS}

    def announce(self, url: str) -> None:
        """Commands of the client find a server by its data folder."""
        write_private(self.path / ADDRESS_FILE, url)

    def conceal(self) -> None:
        (self.path / ADDRESS_FILE).unlink(missing_ok=True)

    def log(self, name: str) -> Path:
        return (
            self.path / "postgres" / "postgres.log"
            if name == "postgres"
            else self.path / "logs" / f"{name}.log"
        )

    def note(self, line: str) -> None:
        with open_log(self.path / "logs" / "stack.log") as log:
            log.write(f"{line}\n".encode())


def _free_ports() -> dict[str, int]:
    """All held until the last is found: no two are the same."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in SERVICES_WITH_PORTS]
    try:
        return {name: at.getsockname()[1] for name, at in zip(SERVICES_WITH_PORTS, held, strict=True)}
    finally:
        for at in held:
            at.close()
