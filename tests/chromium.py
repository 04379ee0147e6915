"""The browser of the tests: Debian's Chromium. Where it is missing, the run says which tests wait for it."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE_MS = 60_000
"""How long a test waits for what a page is to show; a busy machine is no fault of the page."""
HOW_TO_GET_IT = "apt-get install chromium, or name one in TUNEBOOK_CHROMIUM"


def executable() -> str | None:
    named = os.environ.get("TUNEBOOK_CHROMIUM")
    found = (named, shutil.which("chromium"), shutil.which("chromium-browser"), shutil.which("google-chrome"))
    return next((path for path in found if path), None)


def launched() -> Iterator[Browser]:
    """A headless Chromium that talks to nobody on its own; for a fixture."""
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable(), args=list(FLAGS))
        yield browser
        browser.close()


def choose(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without a browser its tests are left out, except in CI, where it must be there."""
    if executable() is not None:
        return
    waiting = [item for item in items if item.get_closest_marker("browser")]
    if waiting and os.environ.get("CI"):
        pytest.exit(f"CI has no Chromium, so {len(waiting)} browser tests cannot run: {HOW_TO_GET_IT}", 1)
    config.hook.pytest_deselected(items=waiting)
    items[:] = [item for item in items if item not in waiting]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if executable() is not None:
        return
    terminalreporter.section("Chromium is missing", yellow=True)
    terminalreporter.line(f"These tests wait for it. To get it: {HOW_TO_GET_IT}.")
    for path in sorted(Path(__file__).parent.rglob("test_*.py")):
        count = path.read_text().count("\ndef test_") if "mark.browser" in path.read_text() else 0
        if count:
            terminalreporter.line(f"  {path.relative_to(Path(__file__).parents[1])} ({count})")
