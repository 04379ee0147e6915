"""The first checks of every request, in this order: host, origin, content type.

Pure ASGI: a BaseHTTPMiddleware would cost a task and a stream for every request of a training job.
"""

import re
from collections import Counter
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from tunebook_server.api import problems
from tunebook_server.api.problems import Refused
from tunebook_server.settings import Settings

UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_HOST = re.compile(r"(?P<name>[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?|\[[0-9a-f:.]{2,45}\])(?::[0-9]{1,5})?")
_DEFAULT_PORT = {"http": ":80", "https": ":443"}
_ONCE = frozenset(
    {b"host", b"origin", b"sec-fetch-site", b"content-type", b"content-length", b"authorization", b"cookie"}
)
"""Headers that a client sends once: two would let two readers see two requests."""


class Gate:
    def __init__(self, app: ASGIApp, *, settings: Settings, cookie_name: str) -> None:
        public = urlsplit(settings.public_url)
        self.app = app
        self.hosts = frozenset(
            host.lower() for host in (*settings.allowed_hosts, public.hostname or "") if host
        )
        self.public_origin = f"{public.scheme}://{public.netloc}".lower() if public.netloc else ""
        self.cookie = f"{cookie_name}=".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            self._check(scope)
        except Refused as refused:
            await problems.of_refusal(refused)(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        if len(headers) < len(scope["headers"]):
            _refuse_doubled(scope)
        host = headers.get(b"host", b"").decode("latin-1").lower()
        matched = _HOST.fullmatch(host)
        if matched is None or matched["name"] not in self.hosts:
            raise Refused(421, "misdirected", "The Host header names no host that this server answers for.")
        method, path = scope["method"], scope["path"]
        if method in UNSAFE or path == "/api/v1/events":
            self._check_origin(scope["scheme"], host, headers, unsafe=method in UNSAFE)
        if method in UNSAFE and path.startswith("/api/"):
            _check_content_type(method, headers)

    def _check_origin(self, scheme: str, host: str, headers: dict[bytes, bytes], *, unsafe: bool) -> None:
        site = headers.get(b"sec-fetch-site")
        origin = headers.get(b"origin")
        if site is not None:
            allowed = site in (b"same-origin", b"none")
        elif origin is not None:
            allowed = _same_origin(origin.decode("latin-1").lower(), scheme, host, self.public_origin)
        else:
            # No browser of today sends neither. Without the cookie there is no credential that a foreign page
            # could borrow: what is left is a bearer token, or nothing, and that meets a 401.
            allowed = not unsafe or self.cookie not in headers.get(b"cookie", b"")
        if not allowed:
            raise Refused(
                403,
                "cross_site",
                "This request comes from another site.",
                remedy="Send it from a page of this server, or with a bearer token and no cookie.",
            )


def _same_origin(origin: str, scheme: str, host: str, public_origin: str) -> bool:
    return (origin != "" and origin == public_origin) or _bare(origin, scheme) == _bare(
        f"{scheme}://{host}", scheme
    )


def _bare(origin: str, scheme: str) -> str:
    return origin.removesuffix(_DEFAULT_PORT.get(scheme, ""))


def _check_content_type(method: str, headers: dict[bytes, bytes]) -> None:
    without_body = headers.get(b"content-length", b"0") == b"0" and b"transfer-encoding" not in headers
    if method == "DELETE" and without_body:
        return
    media_type, _, parameters = headers.get(b"content-type", b"").decode("latin-1").lower().partition(";")
    if media_type.strip() != "application/json" or parameters.strip() not in ("", "charset=utf-8"):
        raise Refused(415, "unsupported_media_type", "The body is not declared as JSON.")


def _refuse_doubled(scope: Scope) -> None:
    counts = Counter(name for name, _ in scope["headers"])
    for name in _ONCE:
        if counts[name] > 1:
            status, code = (421, "misdirected") if name == b"host" else (400, "bad_request")
            raise Refused(
                status, code, f"The header {name.decode()} came {counts[name]} times.", remedy="Send it once."
            )
