"""Proxies cannot be impersonated: X-Forwarded-* counts from declared peers, and from nobody else."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, text

from tests.api.site import Site
from tunebook_server.app.forwarded import Forwarded
from tunebook_server.services import access
from tunebook_server.services.access import TRIES
from tunebook_server.settings import Settings

PROXY, ELSEWHERE, VICTIM = "10.0.0.7", "10.0.9.9", "203.0.113.5"
LIES: tuple[dict[str, str], ...] = (
    {"X-Forwarded-For": VICTIM},
    {"X-Forwarded-For": f"{VICTIM}, {PROXY}"},
    {"X-Forwarded-For": VICTIM, "X-Forwarded-Proto": "https"},
    {"Forwarded": f"for={VICTIM};proto=https"},
    {"X-Real-IP": VICTIM, "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"},
)


@pytest.fixture
def site(engine: Engine) -> Iterator[Site]:
    site = Site(engine, Settings(trusted_proxies=[PROXY, "10.0.1.0/24"]))
    yield site
    site.close()


def log_in(site: Site, code: str, *, peer: str, headers: dict[str, str] | None = None) -> httpx.Response:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(site.app, client=(peer, 4711))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.post("/api/v1/login", json={"code": code}, headers=headers)

    return site.run(send())


def audited(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        found = connection.execute(
            text("SELECT detail->>'address' FROM audit WHERE action = 'login' ORDER BY id")
        )
        return list(found.scalars())


def tries(engine: Engine) -> set[str]:
    with engine.connect() as connection:
        return set(connection.execute(text("SELECT address FROM login_attempts")).scalars())


@pytest.mark.parametrize("headers", LIES)
def test_an_undeclared_peer_is_who_it_is(site: Site, engine: Engine, headers: dict[str, str]) -> None:
    answer = log_in(site, access.issue_login_code(engine), peer=ELSEWHERE, headers=headers)
    assert answer.status_code == 200, answer.text
    assert (audited(engine), tries(engine)) == ([ELSEWHERE], {ELSEWHERE})
    assert "secure" not in answer.headers["set-cookie"].lower()


def test_an_undeclared_peer_cannot_choose_whom_the_limit_meets(site: Site, engine: Engine) -> None:
    for number in range(TRIES):
        lie = {"X-Forwarded-For": f"203.0.113.{number}"}
        assert log_in(site, "wrong-code", peer=ELSEWHERE, headers=lie).status_code == 401
    refused = log_in(site, "wrong-code", peer=ELSEWHERE, headers={"X-Forwarded-For": "203.0.113.99"})
    assert refused.status_code == 429
    assert tries(engine) == {ELSEWHERE}
    assert log_in(site, access.issue_login_code(engine), peer="10.0.9.10").status_code == 200


def test_behind_the_proxy_each_client_is_limited_alone(site: Site, engine: Engine) -> None:
    for _ in range(TRIES):
        log_in(site, "wrong-code", peer=PROXY, headers={"X-Forwarded-For": ELSEWHERE})
    again = {"X-Forwarded-For": ELSEWHERE}
    assert log_in(site, "wrong-code", peer=PROXY, headers=again).status_code == 429
    good = log_in(site, access.issue_login_code(engine), peer=PROXY, headers={"X-Forwarded-For": VICTIM})
    assert good.status_code == 200
    assert audited(engine) == [VICTIM]


def test_the_scheme_of_the_proxy_is_the_scheme_of_the_cookie(site: Site, engine: Engine) -> None:
    for proto, secure in (("https", True), ("http", False), ("gopher", False), ("https,http", False)):
        headers = {"X-Forwarded-For": VICTIM, "X-Forwarded-Proto": proto}
        answer = log_in(site, access.issue_login_code(engine), peer=PROXY, headers=headers)
        assert ("secure" in answer.headers["set-cookie"].lower()) is secure, proto


async def nothing(*_: object) -> None:
    raise AssertionError("not called")


@pytest.mark.parametrize(
    ("headers", "client"),
    [
        ([], PROXY),
        ([VICTIM], VICTIM),
        ([f"{ELSEWHERE}, {VICTIM}"], VICTIM),  # the client wrote the first one itself
        ([ELSEWHERE, VICTIM], VICTIM),  # a proxy that adds a header of its own
        ([f"{VICTIM}, 10.0.1.3"], VICTIM),  # two proxies, both declared
        ([f"{ELSEWHERE}, {VICTIM}, 10.0.1.3", "10.0.1.4"], VICTIM),
        (["10.0.1.3"], "10.0.1.3"),
        ([f"{VICTIM}, unknown"], PROXY),
        ([f"{VICTIM}, unknown, 10.0.1.3"], "10.0.1.3"),
        (["; DROP TABLE audit", ""], PROXY),
        ([f"::ffff:{VICTIM}"], VICTIM),
        (["[2001:db8::7]"], "2001:db8::7"),
        (["2001:db8::7"], "2001:db8::7"),
        ([f"{VICTIM}:55555"], PROXY),
        ([","], PROXY),
    ],
)
def test_the_client_is_the_nearest_hop_that_is_not_ours(site: Site, headers: list[str], client: str) -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: object, send: object) -> None:
        seen.append(scope["client"][0])

    raw = [(b"x-forwarded-for", header.encode()) for header in headers]
    scope = {"type": "http", "client": (PROXY, 1), "headers": raw, "scheme": "http"}
    forwarded = Forwarded(app, trusted=[PROXY, "10.0.1.0/24"])
    site.run(forwarded(scope, nothing, nothing))  # type: ignore[arg-type]
    site.run(Forwarded(app, trusted=[])(scope, nothing, nothing))  # type: ignore[arg-type]
    assert seen == [client, PROXY]


def test_a_server_that_believes_everybody_is_caught(engine: Engine) -> None:
    """The control of these tests: with every peer declared, the lie lands in the audit."""
    site = Site(engine, Settings(trusted_proxies=["0.0.0.0/0"]))
    try:
        log_in(site, access.issue_login_code(engine), peer=ELSEWHERE, headers=LIES[0])
        assert audited(engine) == [VICTIM]
    finally:
        site.close()
