"""Who asks, behind a proxy: X-Forwarded-For and X-Forwarded-Proto, believed from declared peers alone.

Anybody can send these headers. From a peer that is on no list they would let a caller choose the address that
logins are limited by, that the audit keeps and that the log shows.
"""

import ipaddress
from collections.abc import Sequence

from starlette.types import ASGIApp, Receive, Scope, Send

FOR, PROTO = b"x-forwarded-for", b"x-forwarded-proto"
SCHEMES = (b"http", b"https")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Forwarded:
    """The outermost part of the application: everything inside sees the client, not the proxy."""

    def __init__(self, app: ASGIApp, *, trusted: Sequence[str]) -> None:
        self.app = app
        self.trusted = [ipaddress.ip_network(network) for network in trusted]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self.trusted and scope.get("client"):
            peer = _address(scope["client"][0])
            if peer is not None and self._trusts(peer):
                scope = {**scope, **self._seen_by_proxies(scope, peer)}
        await self.app(scope, receive, send)

    def _seen_by_proxies(self, scope: Scope, peer: Address) -> dict[str, object]:
        client = self._client(_values(scope, FOR), peer)
        seen: dict[str, object] = {"client": (str(client), 0) if client != peer else scope["client"]}
        schemes = _values(scope, PROTO)
        if schemes and schemes[-1] in SCHEMES:
            seen["scheme"] = schemes[-1].decode()
        return seen

    def _client(self, hops: Sequence[bytes], peer: Address) -> Address:
        """From the nearest hop outwards, the first that is not ours; what no proxy would write ends it."""
        client = peer
        for hop in reversed(hops):
            address = _address(hop.decode("latin-1"))
            if address is None:
                break
            client = address
            if not self._trusts(address):
                break
        return client

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self.trusted)


def _values(scope: Scope, name: bytes) -> list[bytes]:
    """Of all headers of this name in order: a proxy may add one of its own instead of a comma."""
    joined = b",".join(value for header, value in scope["headers"] if header == name)
    return [word.strip() for word in joined.split(b",") if word.strip()]


def _address(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
