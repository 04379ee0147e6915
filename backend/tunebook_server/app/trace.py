"""What every line of the log says of its request: which one, of which trace, and of which trial."""

import re
import secrets

from starlette.types import Scope

from tunebook_server.api.meter import UNMATCHED

_REQUEST = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_PARENT = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")  # W3C Trace Context


def ids_of(scope: Scope) -> dict[str, str]:
    """`request_id` as a proxy gave it (X-Request-ID) or new, and `trace_id` where there is a traceparent."""
    sent = {name: value for name, value in scope["headers"] if name in (b"x-request-id", b"traceparent")}
    given = sent.get(b"x-request-id", b"")
    ids = {"request_id": given.decode() if _REQUEST.fullmatch(given) else secrets.token_hex(8)}
    parent = _PARENT.fullmatch(sent.get(b"traceparent", b""))
    if parent is not None:
        ids["trace_id"] = parent[1].decode()
    return ids


def trial_of(scope: Scope) -> dict[str, int]:
    """The trial in the path, and the attempt whose token this is."""
    named = str(scope.get("path_params", {}).get("trial_id", ""))
    if not (named.isascii() and named.isdecimal() and len(named) < 20):
        return {}
    principal = scope.get("state", {}).get("principal")
    epoch = getattr(principal, "epoch", None)
    return {"trial_id": int(named), **({} if epoch is None else {"epoch": epoch})}


def route_of(scope: Scope) -> str:
    """The template of the route that answered: bounded, whatever is asked for."""
    return str(getattr(scope.get("route"), "path_format", UNMATCHED))
