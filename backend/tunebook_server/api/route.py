"""What every API route does before and after its endpoint: strict JSON, and Idempotency-Keys."""

import hashlib
from collections.abc import Callable, Coroutine
from typing import Any

import anyio
from fastapi import Request
from fastapi.routing import APIRoute
from pydantic_core import from_json
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from tunebook_server.api import access
from tunebook_server.api.problems import Refused
from tunebook_server.services.idempotency import KEY_LONGEST, Answer, Once

KEY_HEADER = "Idempotency-Key"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
KEPT_HEADERS = ("content-type", "etag", "location")

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class JsonRequest(Request):
    """A request whose body is JSON of RFC 8259, at most 200 deep: no NaN, lone surrogate or NUL."""

    async def json(self) -> Any:
        if not hasattr(self, "_strict_json"):
            self._strict_json = parse(await self.body())
        return self._strict_json


def parse(body: bytes) -> Any:
    try:
        document = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise Refused(400, "invalid_json", f"The body is not JSON: {error}.", remedy="Send JSON.") from None
    if b"\\u0000" in body:
        _refuse_nul(document, "")
    return document


class Route(APIRoute):
    """`once` False: a route whose answer holds a secret, which is not stored; it takes no Idempotency-Key."""

    def get_route_handler(self) -> Handler:
        inner = super().get_route_handler()
        takes_keys = not getattr(self.endpoint, "answers_secret", False)

        async def handle(request: Request) -> Response:
            request = JsonRequest(request.scope, request.receive)
            key = request.headers.get(KEY_HEADER) if request.method not in SAFE else None
            if key is None:
                return await inner(request)
            if not takes_keys:
                raise Refused(
                    422,
                    "key_unsupported",
                    "This answer is not stored.",
                    field=KEY_HEADER,
                    remedy="Leave it out.",
                )
            return await _once(inner, request, key)

        return handle


def answers_secret(endpoint: Callable[..., Any]) -> Callable[..., Any]:
    """Marks an endpoint whose answer is shown once and stored nowhere."""
    endpoint.answers_secret = True  # type: ignore[attr-defined]
    return endpoint


async def _once(inner: Handler, request: Request, key: str) -> Response:
    if not key.isascii() or not key.isprintable() or not 1 <= len(key) <= KEY_LONGEST:
        raise Refused(
            422, "invalid", f"The key is not 1 to {KEY_LONGEST} printable ASCII characters.", field=KEY_HEADER
        )
    principal = await run_in_threadpool(access.recognise, request)
    once = Once(
        request.app.state.engine, actor=principal.actor, key=key, request_hash=await _request_hash(request)
    )
    # Each holds a connection while its endpoint waits for a thread: half the pool stays free for the others.
    limiter: anyio.CapacityLimiter = request.app.state.keyed_requests
    async with limiter:
        stored = await run_in_threadpool(once.start)
        if stored is not None:
            return Response(stored.body, stored.status, {**stored.headers, "Idempotent-Replay": "true"})
        request.state.engine = once.engine
        try:
            response = await inner(request)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await run_in_threadpool(once.give_up)
            raise
        if response.status_code >= 400:
            await run_in_threadpool(once.give_up)
            return response
        kept = {name: response.headers[name] for name in KEPT_HEADERS if name in response.headers}
        await run_in_threadpool(once.finish, Answer(response.status_code, bytes(response.body), kept))
        return response


async def _request_hash(request: Request) -> bytes:
    digest = hashlib.sha256(f"{request.method} {request.url.path}?{request.url.query}\n".encode())
    digest.update(await request.body())
    return digest.digest()


def _refuse_nul(value: object, path: str) -> None:
    if isinstance(value, str) and "\x00" in value:
        raise Refused(
            422, "invalid", f"{path or 'the body'} holds a NUL character.", field=path, remedy="Leave it out."
        )
    if isinstance(value, dict):
        for name, inside in value.items():
            _refuse_nul(name, path)
            _refuse_nul(inside, f"{path}.{name}" if path else name)
    if isinstance(value, list):
        for place, inside in enumerate(value):
            _refuse_nul(inside, f"{path}.{place}" if path else str(place))
