"""A thin HTTP client: one request, one answer or one named error; retries are the caller's choice."""

import contextlib
import json as _json
import random
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode

from tunebook import forks
from tunebook.connections import connections, reason
from tunebook.errors import ApiError, Busy, Unreachable, refusal

if TYPE_CHECKING:
    import urllib3

PREFIX = "/api/v1"
MAX_ANSWER_BYTES = 64 << 20
READ_BYTES = 64 << 10

T = TypeVar("T")


def full_jitter(attempt: int, base: float = 0.2, cap: float = 30.0) -> float:
    """Seconds to wait before retry `attempt` (0, 1, …): uniform in [0, min(cap, base · 2^attempt)].

    Brooker, "Exponential Backoff And Jitter" (AWS, 2015): full jitter spreads clients that come back at once.
    """
    return random.uniform(0.0, min(cap, base * 2.0 ** min(attempt, 60)))  # noqa: S311


class Api:
    """Speaks to one server as the bearer of one token. Thread-safe; keeps connections open.

    Raises `Unreachable` when there is no answer and an `ApiError` when the server refuses.
    """

    def __init__(self, url: str, token: str = "", *, timeout_seconds: float = 10.0) -> None:
        self.url = url.rstrip("/")
        self._token = token
        self._timeout_seconds = timeout_seconds
        self._connections: urllib3.PoolManager | None = None
        self._inherited: urllib3.PoolManager | None = None
        """Of the process that this one was forked from: never used, nor closed, as its locks may be held."""
        forks.watch(self)
        self._cookies: dict[str, str] = {}
        """Of a login, and of a proxy that sends a client to the same server again."""

    def get(self, path: str, **options: Any) -> Any:
        return self.request("GET", path, **options)

    def post(self, path: str, json: object = None, **options: Any) -> Any:
        return self.request("POST", path, json={} if json is None else json, **options)

    def patch(self, path: str, json: object, **options: Any) -> Any:
        return self.request("PATCH", path, json=json, **options)

    def delete(self, path: str, **options: Any) -> Any:
        return self.request("DELETE", path, **options)

    def request(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        params: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_seconds: float | None = None,
    ) -> Any:
        """The decoded JSON answer (None for 204). `path` is relative to /api/v1."""
        limit_seconds = timeout_seconds or self._timeout_seconds
        deadline = time.monotonic() + 6 * limit_seconds
        with self._answer(
            method, path, json=json, params=params, headers=headers, timeout_seconds=limit_seconds
        ) as response:
            content = _read(response, deadline)
        if not _is_success(response):
            raise _refusal(response, content, self.url)
        try:
            return _json.loads(content) if content else None
        except ValueError:
            raise Busy(502, "not_tunebook", f"{self.url} answered something that is not JSON.") from None

    def pages(self, path: str) -> Iterator[dict[str, Any]]:
        """The items of a list, asked for page by page."""
        cursor = None
        while True:
            page = self.get(path, params={"limit": 200, "cursor": cursor})
            yield from page["items"]
            cursor = page["next"]
            if cursor is None:
                return

    def stream(
        self,
        path: str,
        params: Mapping[str, object] | None = None,
        *,
        prefix: str = PREFIX,
        timeout_seconds: float | None = None,
    ) -> Iterator[bytes]:
        """The body of a long answer, piece by piece as it comes; without `prefix`, of a page."""
        limit_seconds = timeout_seconds or self._timeout_seconds
        headers = {"Accept": "*/*"}
        with self._answer(
            "GET", path, prefix=prefix, params=params, headers=headers, timeout_seconds=limit_seconds
        ) as response:
            if not _is_success(response):
                raise _refusal(response, _read(response, time.monotonic() + limit_seconds), self.url)
            yield from _pieces(response)

    @contextlib.contextmanager
    def _answer(
        self,
        method: str,
        path: str,
        *,
        prefix: str = PREFIX,
        json: object = None,
        params: Mapping[str, object] | None,
        headers: Mapping[str, str] | None,
        timeout_seconds: float,
    ) -> "Iterator[urllib3.BaseHTTPResponse]":
        """Its connection is kept when all of the body was read, and closed otherwise."""
        from urllib3.exceptions import HTTPError

        sent = {"Accept": "application/json", "Accept-Encoding": "gzip", **(headers or {})}
        if self._token:
            sent["Authorization"] = f"Bearer {self._token}"
        if self._cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in list(self._cookies.items()))
        body = None
        if json is not None:
            body = _json.dumps(json, separators=(",", ":"), allow_nan=False).encode()
            sent["Content-Type"] = "application/json"
        query = urlencode({name: str(value) for name, value in (params or {}).items() if value is not None})
        url = self.url + prefix + path + (f"?{query}" if query else "")
        try:
            response = self._ask(method, url, body=body, headers=sent, timeout=timeout_seconds)
            with contextlib.closing(response):
                for cookie in response.headers.getlist("set-cookie"):
                    name, _, value = cookie.partition(";")[0].partition("=")
                    self._cookies[name.strip()] = value.strip()
                yield response
        except (HTTPError, OSError, ValueError) as error:
            raise Unreachable(f"No answer from {self.url}: {reason(error)}") from error

    def _ask(self, method: str, url: str, **options: Any) -> "urllib3.BaseHTTPResponse":
        """A GET is asked twice: the server may have closed a kept connection just as it was used."""
        from urllib3.exceptions import ProtocolError

        options |= {"redirect": False, "preload_content": False}
        try:
            return self._open().request(method, url, **options)
        except ProtocolError:
            if method != "GET":
                raise
            return self._open().request(method, url, **options)

    def renew(self) -> None:
        self._inherited, self._connections = self._connections, None

    def close(self) -> None:
        if self._connections is not None:
            self._connections.clear()
            self._connections = None

    def _open(self) -> "urllib3.PoolManager":
        if self._connections is None:
            self._connections = connections(self.url)
        return self._connections


def patiently(call: Callable[[], T], *, patience_seconds: float, base: float = 0.2, cap: float = 5.0) -> T:
    """Repeats an idempotent call with full jitter while the server is away; then raises the last error."""
    deadline, attempt = time.monotonic() + patience_seconds, 0
    while True:
        try:
            return call()
        except (Unreachable, Busy) as error:
            wait = full_jitter(attempt, base, cap) + (getattr(error, "retry_after_seconds", None) or 0.0)
            if time.monotonic() + wait > deadline:
                raise
            time.sleep(wait)
            attempt += 1


def _is_success(response: "urllib3.BaseHTTPResponse") -> bool:
    return 200 <= response.status < 300


def _pieces(response: "urllib3.BaseHTTPResponse") -> Iterator[bytes]:
    """As they arrive; at their end the connection is free for another request."""
    while piece := response.read1(READ_BYTES):
        yield piece
    response.release_conn()


def _read(response: "urllib3.BaseHTTPResponse", deadline: float) -> bytes:
    content = bytearray()
    for piece in _pieces(response):
        content += piece
        if len(content) > MAX_ANSWER_BYTES:
            raise OSError(f"an answer longer than {MAX_ANSWER_BYTES} bytes")
        if time.monotonic() > deadline:
            raise TimeoutError("the answer came too slowly")
    return bytes(content)


def _refusal(response: "urllib3.BaseHTTPResponse", content: bytes, url: str) -> ApiError:
    try:
        problem = _json.loads(content)
    except ValueError:
        problem = None
    if isinstance(problem, dict) and problem.get("code"):
        error = refusal(response.status, problem)
    else:
        # A proxy, a captive portal, another program on the port: not our server's word, so nothing is final.
        said = f"{response.status} {response.reason or ''}".strip()
        error = Busy(response.status, "not_tunebook", f"{url} answered {said}, not as Tunebook does.")
    after = response.headers.get("retry-after", "")
    error.retry_after_seconds = float(after) if after.isdigit() else None
    return error
