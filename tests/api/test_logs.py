"""Logs are one JSON object a line, whatever comes in; and no secret is in them."""

import json
import logging
import re

import pytest
import structlog

from tests.api.site import Site, World, problem
from tests.api.test_problems import bodies
from tunebook_server.app import logs

HOSTILE = (
    "line\r\nbreak",
    '\n{"event": "forged"}',
    "\x1b[31mred\x1b[0m",
    "\x00",
    "\x9b31m",
    "\u202eoverride\u202c",
    "\ud800",
    "x" * (1 << 20),
    '"quoted" \\ back',
)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    printed = capsys.readouterr().err
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", printed)
    return [json.loads(line) for line in printed.splitlines()]


def test_nothing_breaks_out_of_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure()
    for text in HOSTILE:
        structlog.get_logger().info(text, field=text, nested={"inside": text})
        logging.getLogger("uvicorn.error").warning("from another library: %s", text)
        try:
            raise ValueError(text)
        except ValueError:
            structlog.get_logger().exception("failed")
    found = lines(capsys)
    assert len(found) == 3 * len(HOSTILE)
    assert all({"event", "level", "timestamp"} <= entry.keys() for entry in found)
    assert max(len(json.dumps(entry)) for entry in found) < 100_000


def test_requests_cannot_forge_or_leak(site: Site, world: World, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure()
    browser = site.session()
    secret = browser["Cookie"].partition("=")[2]
    for path in ("/api/v1/a%0d%0ab", "/api/v1/%1b[31m", "/api/v1/" + "x" * 5000, "/%E2%80%AE", "/api/v1/%00"):
        problem(site.get(path, params={"token": secret}), 404)
    problem(site.post("/api/v1/projects", {"name": "a\x1b[31m"}, by=None, headers=browser), 422)
    problem(site.get("/api/v1/projects", by=None, headers={b"Authorization": b"Bearer tbk_\x1b[31m"}), 401)
    found = [entry for entry in lines(capsys) if entry["event"] == "request"]
    assert len(found) == 7
    written = json.dumps(found)
    for hidden in (secret, *site.tokens.values()):
        assert hidden not in written


def test_lines_name_their_request_trial_and_attempt(
    site: Site, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure()
    trace = "0af7651916cd43dd8448eb211c80319c"
    sent = {"X-Request-ID": "proxy-1", "traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    answer = site.post(f"/api/v1/trials/{world.trial}:finish", {"epoch": 1}, by="trial", headers=sent)
    assert answer.headers["x-request-id"] == "proxy-1"
    forged = site.post(
        f"/api/v1/trials/{world.trial}:cancel",
        headers={b"X-Request-ID": b'a\x1b[31m"', b"traceparent": b"00-x"},
    )
    assert re.fullmatch("[0-9a-f]{16}", forged.headers["x-request-id"])
    first, second = [entry for entry in lines(capsys) if entry["event"] == "request"]
    assert {
        "trial_id": world.trial,
        "epoch": 1,
        "request_id": "proxy-1",
        "trace_id": trace,
    }.items() <= first.items()
    assert (second["trial_id"], second["request_id"]) == (world.trial, forged.headers["x-request-id"])
    assert "trace_id" not in second


def test_no_text_that_people_type_breaks_a_line(
    site: Site, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """S18: every text field of every route, each with every hostile text."""
    logs.configure()
    tried = 0
    for name, (method, path, by, body) in bodies(world).items():
        for field, value in body.items():
            if not isinstance(value, str) or name == "login":
                continue
            for hostile in HOSTILE[:-1] if name not in ("project", "note") else HOSTILE:
                if "\ud800" in hostile:
                    continue  # no client can send it as UTF-8
                answer = site.request(method, path, by=by, json={**body, field: hostile})
                assert answer.status_code < 500, (name, field)
                tried += 1
    found = lines(capsys)
    assert tried > 100
    assert all(len(json.dumps(entry)) < 100_000 for entry in found)
    assert not any(entry.get("event") == "forged" for entry in found)
