"""What every API route does before and after its endpoint: strict JSON, and Idempotency-Keys."""

import hashlib
import json
import re
from collections.abc import Callable, Coroutine
from typing import Any

import anyio
from fastapi import APIRouter, Request
from fastapi.routing import APIRoute
from pydantic_core import from_json
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from tunebook_server.api import access
from tunebook_server.api.problems import Refused
from tunebook_server.services.idempotency import KEY_LONGEST, Answer, Once

PREFIX = "/api/v1"
KEY_HEADER = "Idempotency-Key"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
SMALL_BYTES = 64 << 10
FIELDS_MOST = 100
"""Of a body. Pydantic collects a fault for every unknown one: millions of them would cost gigabytes."""
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
KEPT_HEADERS = ("content-type", "etag", "location")

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class JsonRequest(Request):
    """A request whose body is JSON of RFC 8259, at most 200 deep: no NaN, lone surrogate or NUL."""

    async def json(self) -> Any:
        if not hasattr(self, "_strict_json"):
            self._strict_json = parse(await self.body())
        return self._strict_json


def parse(body: bytes) -> Any:
    """Raises Refused, naming the field where the text of one is the trouble."""
    try:
        document = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise not_json(body, str(error)) from None
    if b"\\u0000" in body:
        _refuse_letters(document, "")
    if isinstance(document, dict) and len(document) > FIELDS_MOST:
        raise Refused(
            422, "invalid", f"The body has {len(document)} fields.", remedy="Leave the unknown ones out."
        )
    return document


def not_json(body: bytes, detail: str) -> Refused:
    """The refusal of a body that the strict parser did not take."""
    if b"\\ud" in body or b"\\uD" in body:
        try:
            _refuse_letters(json.loads(body), "")
        except (ValueError, RecursionError):
            pass
        except Refused as refused:
            return refused
    return Refused(400, "invalid_json", f"The body is not JSON: {detail[:200]}.", remedy="Send JSON.")


class Route(APIRoute):
    """`once` False: a route whose answer holds a secret, which is not stored; it takes no Idempotency-Key."""

    def get_route_handler(self) -> Handler:
        inner = super().get_route_handler()
        takes_keys = not getattr(self.endpoint, "answers_secret", False)
        is_open = any(not policy.kinds for policy in access.policies_of(self.dependant))

        async def handle(request: Request) -> Response:
            request = JsonRequest(request.scope, request.receive)
            if _is_large(request):
                # Parsing is not free: a stranger's large body is never looked at.
                if is_open:
                    raise Refused(413, "too_large", f"Here a body may have at most {SMALL_BYTES} bytes.")
                await run_in_threadpool(access.recognise, request)
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


def router_of(tag: str, *, prefix: str = "") -> APIRouter:
    """A part of the API: its addresses begin with `prefix`, within that of the API."""
    return APIRouter(prefix=PREFIX + prefix, tags=[tag], route_class=Route)


def _is_large(request: Request) -> bool:
    if request.method in SAFE:
        return False
    declared = request.headers.get("content-length", "0")
    return "transfer-encoding" in request.headers or int(declared) > SMALL_BYTES


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


def _refuse_letters(value: object, path: str) -> None:
    """Raises for NUL and lone surrogates, which no database column takes."""
    if isinstance(value, str) and _UNSTORABLE.search(value):
        where = path or "the body"
        raise Refused(
            422, "invalid", f"{where} holds a NUL or a lone surrogate.", field=path, remedy="Leave it out."
        )
    if isinstance(value, dict):
        for name, inside in value.items():
            _refuse_letters(name, path)
            _refuse_letters(inside, f"{path}.{name}" if path else name)
    if isinstance(value, list):
        for place, inside in enumerate(value):
            _refuse_letters(inside, f"{path}.{place}" if path else str(place))
