"""Logs are one JSON object a line, whatever comes in; and no secret is in them."""

import json
import logging
import re

import pytest
import structlog

from tests.api.site import Site, World, problem
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
