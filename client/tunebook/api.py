"""A thin HTTP client: one request, one answer or one named error; retries are the caller's choice."""

import contextlib
import json as _json
import random
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from tunebook.errors import ApiError, Busy, Unreachable, refusal

if TYPE_CHECKING:
    import httpx

PREFIX = "/api/v1"
MAX_ANSWER_BYTES = 64 << 20
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}

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
        self._client: httpx.Client | None = None

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
        import httpx

        request = self._request(
            method, path, json=json, params=params, headers=headers, timeout_seconds=timeout_seconds
        )
        deadline = time.monotonic() + 6 * (timeout_seconds or self._timeout_seconds)
        try:
            response = self._open().send(request, stream=True)
            try:
                content = _read(response, deadline)
            finally:
                response.close()
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError) as error:
            raise Unreachable(f"No answer from {self.url}: {error or type(error).__name__}") from error
        if not response.is_success:
            raise _refusal(response, content)
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
        import httpx

        request = self._request(
            "GET",
            path,
            params=params,
            prefix=prefix,
            headers={"Accept": "*/*"},
            timeout_seconds=timeout_seconds,
        )
        try:
            response = self._open().send(request, stream=True)
            with contextlib.closing(response):
                if not response.is_success:
                    raise _refusal(response, response.read())
                yield from response.iter_bytes()
        except (httpx.HTTPError, httpx.StreamError, OSError) as error:
            raise Unreachable(f"The answer from {self.url} broke off: {error}") from error

    def _request(
        self,
        method: str,
        path: str,
        *,
        prefix: str = PREFIX,
        json: object = None,
        params: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_seconds: float | None = None,
    ) -> "httpx.Request":
        sent = {"Accept": "application/json"}
        if self._token:
            sent["Authorization"] = f"Bearer {self._token}"
        body = None
        if json is not None:
            body = _json.dumps(json, separators=(",", ":"), allow_nan=False).encode()
            sent["Content-Type"] = "application/json"
        return self._open().build_request(
            method,
            self.url + prefix + path,
            content=body,
            params={k: str(v) for k, v in (params or {}).items() if v is not None} or None,
            headers={**sent, **(headers or {})},
            timeout=timeout_seconds or self._timeout_seconds,
        )

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def _open(self) -> "httpx.Client":
        if self._client is None:
            import httpx

            # A proxy from the environment is for the world outside, never for this machine.
            outside = (urlsplit(self.url).hostname or "") not in _LOOPBACK
            self._client = httpx.Client(trust_env=outside, follow_redirects=False)
        return self._client


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


def _read(response: "httpx.Response", deadline: float) -> bytes:
    import httpx

    content = bytearray()
    for piece in response.iter_bytes():
        content += piece
        if len(content) > MAX_ANSWER_BYTES:
            raise httpx.ReadError(f"an answer longer than {MAX_ANSWER_BYTES} bytes")
        if time.monotonic() > deadline:
            raise httpx.ReadTimeout("the answer came too slowly")
    return bytes(content)


def _refusal(response: "httpx.Response", content: bytes) -> ApiError:
    try:
        problem = _json.loads(content)
    except ValueError:
        problem = None
    if isinstance(problem, dict) and problem.get("code"):
        error = refusal(response.status_code, problem)
    else:
        # A proxy, a captive portal, another program on the port: not our server's word, so nothing is final.
        said = f"{response.status_code} {response.reason_phrase}".strip()
        error = Busy(
            response.status_code, "not_tunebook", f"{response.url} answered {said}, not as Tunebook does."
        )
    after = response.headers.get("retry-after", "")
    error.retry_after_seconds = float(after) if after.isdigit() else None
    return error
