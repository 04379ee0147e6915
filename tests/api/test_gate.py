"""What is checked before any endpoint: host, origin, content type, size; and what every answer carries."""

import json
import random
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from tests.api.routes import UNSAFE, mounted
from tests.api.site import HOST, Site, World, ok, problem
from tunebook_server.app.body_limit import BODY_BYTES_MOST
from tunebook_server.settings import Settings

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; style-src-attr 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'; object-src 'none'"
)
CROSS_SITE: dict[str, dict[str, str]] = {
    "cross-site": {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
    "same-site subdomain": {"Sec-Fetch-Site": "same-site", "Origin": "http://app.localhost"},
    "old browser": {"Origin": "https://evil.example"},
    "other port": {"Origin": "http://localhost:9999"},
    "other scheme": {"Origin": "https://localhost"},
    "null origin": {"Origin": "null"},
    "empty origin": {"Origin": ""},
    "neither header": {},
    "unknown word": {"Sec-Fetch-Site": "same-origin, cross-site"},
    "lying prefix": {"Origin": "http://localhost.evil.example"},
    "method override": {"Sec-Fetch-Site": "cross-site", "X-HTTP-Method-Override": "GET"},
}
WRONG_TYPES = (
    None,
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/json-patch+json",
    "application/jsonx",
    "application/json; charset=utf-16",
    "text/plain; application/json",
)


def hostile_hosts() -> list[str]:
    fixed = [
        "",
        "evil.example",
        "localhost.evil.example",
        "evil.example:8787",
        "localhost:",
        "localhost:x",
        "localhost:80:80",
        "localhost.",
        "localhost@evil.example",
        "evil.example@localhost",
        "localhost/evil",
        "localhost#x",
        "localhost?x",
        "localhost\\evil",
        "127.0.0.1.evil.example",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.0.0.2",
        "0.0.0.0",
        "[::]",
        "[::1",
        "::1",
        "[::ffff:127.0.0.1]",
        "[::1%25lo]",
        "[::1]evil",
        "http://localhost",
        "localhost,evil.example",
        "local host",
        " localhost",
        "*",
        "xn--lcalhost-54a",
        "169.254.169.254",
        "metadata.google.internal",
        "localhost:999999",
        "locаlhost".encode().decode("latin-1"),
        "a" * 5000,
    ]
    dice = random.Random(1)
    letters = "abcdefghijklmnopqrstuvwxyz0123456789.-:@/[]%_"
    drawn = ["".join(dice.choices(letters, k=dice.randint(1, 40))) for _ in range(200 - len(fixed))]
    return [*fixed, *drawn]


def test_200_hostile_hosts_are_misdirected(site: Site, world: World) -> None:
    hosts = hostile_hosts()
    assert len(hosts) == 200
    for host in hosts:
        raw = {b"Host": host.encode("latin-1")}
        for path in ("/api/v1/projects", "/", "/health", "/login"):
            problem(site.get(path, headers=raw), 421, "misdirected")
        problem(site.post("/api/v1/projects", {"name": "rebound"}, headers=raw), 421)
    assert "rebound" not in site.get("/api/v1/projects").text


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8787", "127.0.0.1:1", "[::1]:8787"])
def test_the_hosts_of_this_machine_are_served(site: Site, host: str) -> None:
    ok(site.get("/health", by=None, headers={"Host": host}))


def test_two_hosts_are_none(site: Site) -> None:
    doubled = httpx.Headers([("Host", "localhost"), ("Host", "evil.example")])
    problem(site.get("/health", by=None, headers=doubled), 421)


def test_the_public_address_is_served(engine: object) -> None:
    site = Site(engine, Settings(public_url="https://tune.example.org"))  # type: ignore[arg-type]
    answer = site.get("/health", by=None, headers={"Host": "tune.example.org"})
    assert answer.headers["strict-transport-security"] == "max-age=31536000"
    assert site.app.state.cookie_name == "__Host-tunebook_session"
    browser = {"Host": "tune.example.org", "Cookie": site.session()["Cookie"]}
    for origin, status in (("https://tune.example.org", 200), ("https://evil.example", 403)):
        made = site.post("/api/v1/logout", by=None, headers={**browser, "Origin": origin})
        assert made.status_code == status, made.text
    site.close()


def test_no_other_site_can_change_anything(site: Site, world: World) -> None:
    browser = {"Cookie": site.session()["Cookie"]}
    with site.engine.connect() as connection:
        before = connection.execute(text("SELECT count(*) FROM audit")).scalar()
    for route in mounted(site, world):
        if route.method not in UNSAFE:
            continue
        for name, headers in CROSS_SITE.items():
            answer = site.request(route.method, route.path, by=None, json={}, headers={**browser, **headers})
            assert answer.status_code == 403, (route, name, answer.text)
            problem(answer, 403, "cross_site")
            # A token beside the cookie does not help: the request is the cookie's.
            both = site.request(route.method, route.path, json={}, headers={**browser, **headers})
            problem(both, 403, "cross_site")
    with site.engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM audit")).scalar() == before


def test_this_site_and_plain_clients_can(site: Site, world: World) -> None:
    cookie = {"Cookie": site.session()["Cookie"]}
    for number, headers in enumerate(
        (
            {**cookie, "Sec-Fetch-Site": "same-origin"},
            {**cookie, "Sec-Fetch-Site": "none"},
            {**cookie, "Origin": HOST},
            {**cookie, "Origin": f"{HOST}:80", "Host": "localhost:80"},
        )
    ):
        made = site.post("/api/v1/projects", {"name": f"mine {number}"}, by=None, headers=headers)
        assert made.status_code == 201, made.text
    assert site.post("/api/v1/projects", {"name": "by token"}).status_code == 201
    problem(site.post("/api/v1/projects", {"name": "x"}, headers=CROSS_SITE["cross-site"]), 403)


def test_the_event_stream_is_for_this_site(site: Site, world: World) -> None:
    for headers in (CROSS_SITE["cross-site"], CROSS_SITE["old browser"], CROSS_SITE["null origin"]):
        problem(site.get("/api/v1/events", headers=headers), 403, "cross_site")


def test_only_json_is_json(site: Site, world: World) -> None:
    for route in mounted(site, world):
        if route.method in UNSAFE and route.is_api:
            for media_type in WRONG_TYPES:
                headers = {} if media_type is None else {"Content-Type": media_type}
                answer = site.request(route.method, route.path, content=b"{}", headers=headers)
                problem(answer, 415, "unsupported_media_type")
    accepted = {"Content-Type": "Application/JSON; charset=UTF-8"}
    body = json.dumps({"name": "typed"}).encode()
    assert site.request("POST", "/api/v1/projects", content=body, headers=accepted).status_code == 201


def test_bodies_end_at_the_limit(site: Site, world: World) -> None:
    headers = {"Content-Type": "application/json"}
    fits = b'{"name": "big"' + b" " * (BODY_BYTES_MOST - 15) + b"}"
    assert len(fits) == BODY_BYTES_MOST
    assert site.request("POST", "/api/v1/projects", content=fits, headers=headers).status_code == 201
    for path, by in (("/api/v1/projects", "owner"), (f"/api/v1/trials/{world.trial}:report", "trial")):
        refused = site.request("POST", path, by=by, content=fits + b" ", headers=headers)
        problem(refused, 413, "too_large")

        async def pieces() -> object:
            for _ in range(BODY_BYTES_MOST // 65536 + 1):
                yield b" " * 65536

        problem(site.request("POST", path, by=by, content=pieces(), headers=headers), 413, "too_large")


def test_each_answer_carries_the_security_headers(site: Site, world: World) -> None:
    for route in mounted(site, world):
        if route.method != "GET" or route.template == "/api/v1/events":
            continue
        answer = site.get(route.path)
        assert answer.headers.get_list("content-security-policy") == [POLICY], route
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        if route.is_api:
            assert answer.headers["cache-control"] == "no-store", route


def test_no_foreign_origin_can_read(site: Site, world: World) -> None:
    for route in mounted(site, world):
        if route.template == "/api/v1/events":
            continue
        for origin in ("https://evil.example", "null", HOST):
            for method in (route.method, "OPTIONS"):
                headers = {"Origin": origin, "Access-Control-Request-Method": route.method}
                content: dict[str, Any] = {} if method in ("GET", "OPTIONS") else {"json": {}}
                answer = site.request(method, route.path, headers=headers, **content)
                assert not any(name.startswith("access-control-") for name in answer.headers), route
