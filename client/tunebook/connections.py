"""Connections to one server, kept open and shared by threads."""

from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    import urllib3

KEPT = 100
"""Open connections, of as many threads at once."""
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def connections(url: str) -> "urllib3.PoolManager":
    """Through the proxy that the environment names for `url`; what is on this machine has none.

    Raises ValueError for what is no address of a server.
    """
    import urllib3  # a training script that only reports into a spool never pays for it

    if urlsplit(url).scheme not in ("http", "https"):
        raise ValueError("an address begins with http:// or https://")
    proxy = _proxy(url)
    if proxy is None:
        return urllib3.PoolManager(maxsize=KEPT, retries=False)
    user, password = unquote(urlsplit(proxy).username or ""), unquote(urlsplit(proxy).password or "")
    headers = urllib3.make_headers(proxy_basic_auth=f"{user}:{password}") if user else None
    return urllib3.ProxyManager(proxy, maxsize=KEPT, retries=False, proxy_headers=headers)


def reason(error: Exception) -> str:
    """What the system said, without the wrapping."""
    wrapped = [each for each in error.args if isinstance(each, Exception)]
    said = error.__cause__ or (wrapped[0] if wrapped else error)
    return str(said) or type(said).__name__


def _proxy(url: str) -> str | None:
    parts = urlsplit(url)
    host = parts.hostname or ""
    if host in LOOPBACK:
        return None
    from urllib.request import getproxies, proxy_bypass

    named = getproxies()
    proxy = named.get(parts.scheme) or named.get("all")
    if not proxy or proxy_bypass(host):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"
