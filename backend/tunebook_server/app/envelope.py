"""Around every request: security headers, a log line, and the net under what nobody caught."""

import secrets
import time

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tunebook_server.api import problems
from tunebook_server.api.meter import Meter
from tunebook_server.app import trace

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; style-src-attr 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'; object-src 'none'"
)
"""Measured with Plotly's strict bundle: no violation by any chart, and no eval."""
HEADERS = (
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
NO_STORE = (b"cache-control", b"no-store")
STRICT_TRANSPORT = (b"strict-transport-security", b"max-age=31536000")
SLOW_SECONDS = 1.0
PATH_SHOWN = 300

log = structlog.get_logger()


class Envelope:
    def __init__(self, app: ASGIApp, *, secure: bool, meter: Meter) -> None:
        self.app, self.meter = app, meter
        self.headers = (*HEADERS, STRICT_TRANSPORT) if secure else HEADERS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.perf_counter(), 0
        ids = trace.ids_of(scope)
        reply = (b"x-request-id", ids["request_id"].encode())

        async def enveloped(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *self.headers, reply]
                if not any(name == b"cache-control" for name, _ in message["headers"]):
                    message["headers"].append(NO_STORE)
            await send(message)

        with structlog.contextvars.bound_contextvars(**ids):
            try:
                await self.app(scope, receive, enveloped)
            except Exception as error:
                with structlog.contextvars.bound_contextvars(**trace.trial_of(scope)):
                    response = problems.of_failure(error, log_id=secrets.token_hex(8))
                if status:
                    raise  # half an answer is out: only breaking the connection tells the client
                await response(scope, receive, enveloped)
            finally:
                seconds = time.perf_counter() - started
                self.meter.request(trace.route_of(scope), scope["method"], status, seconds)
            _note(scope, status, seconds)


def _note(scope: Scope, status: int, seconds: float) -> None:
    """A line for what changed something, was refused or was slow; never a query, a header or a body."""
    # A training job's own traffic is in the database; thousands of lines an hour would bury the rest.
    routine = status < 400 and (
        scope["method"] == "GET" or scope["path"].endswith((":report", ":heartbeat", ":log", ":ask"))
    )
    if routine and (seconds < SLOW_SECONDS or scope["path"].endswith("/events")):
        return
    principal = scope.get("state", {}).get("principal")
    log.info(
        "request",
        method=scope["method"][:20],
        path=scope["path"][:PATH_SHOWN],
        status=status,
        milliseconds=round(seconds * 1000, 1),
        actor=principal.actor if principal else None,
        address=scope["client"][0] if scope.get("client") else None,
        **trace.trial_of(scope),
    )
