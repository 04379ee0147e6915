"""The server as a process."""

import gc
import ipaddress
import socket

import structlog
import uvicorn

from tunebook_server import broker
from tunebook_server.api.events import Feed
from tunebook_server.app import logs
from tunebook_server.app.factory import create_app
from tunebook_server.settings import Settings
from tunebook_server.settings import settings as read_settings
from tunebook_server.storage.engine import connect

STOP_SECONDS = 8
"""For requests under way at a SIGTERM; what is left of 10 s is for closing."""

log = structlog.get_logger()


class UnsafeAddress(Exception):
    """The server would be open to the network without TLS."""


class Server(uvicorn.Server):
    """Ends the event streams before it waits for open connections: they would outlast any patience."""

    def __init__(self, config: uvicorn.Config, feed: Feed) -> None:
        super().__init__(config)
        self.feed = feed

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.feed.close()
        await super().shutdown(sockets)


def serve(sockets: list[socket.socket] | None = None) -> None:
    """Serves until a signal says stop; settings come from the environment. `sockets` that listen already are
    taken over."""
    settings = read_settings()
    refuse_unsafe_address(settings)
    logs.configure()
    broker.configure(settings)
    engine = connect(settings.database_url.get_secret_value())
    app = create_app(engine, settings)
    # What is there from the start stays: looking through all of it again stopped every request for 0.15 s.
    gc.collect()
    gc.freeze()
    log.info("serving", address=settings.address)
    Server(configuration(app, settings), app.state.feed).run(sockets)
    broker.close()
    engine.dispose()


def configuration(app: object, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # `Forwarded` reads them, from declared peers
        timeout_graceful_shutdown=STOP_SECONDS,
        backlog=2048,
    )


def refuse_unsafe_address(settings: Settings) -> None:
    """Raises UnsafeAddress for a listener beyond this machine with neither a declared proxy nor a public
    address that is https."""
    declared = settings.trusted_proxies or settings.public_url.startswith("https://")
    if not _is_loopback(settings.host) and not declared:
        raise UnsafeAddress(
            f"{settings.host} can be reached from other machines: put a TLS proxy in front and name its "
            "address in TUNEBOOK_PUBLIC_URL (https://…), or where it comes from in TUNEBOOK_TRUSTED_PROXIES; "
            "or listen on 127.0.0.1."
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
