"""Logs and workers in a real browser: searched, scrolled, drained; the page stays small."""

import re
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from playwright.sync_api import expect
from sqlalchemy import Engine

from tests.browser.window import Site, Visit, serving
from tests.services.making import ACTOR, make_study, make_worker
from tunebook_server.services import access, claims, logs, metrics, workers

pytestmark = pytest.mark.browser
Open = Callable[..., Visit]
MEBIBYTE = 1 << 20
PIECES = 8
MOVED = "before => document.getElementById('log').firstElementChild.dataset.first !== before"


@pytest.fixture
def own(engine: Engine) -> Iterator[Site]:
    """A site of the test's own."""
    access.ensure_owner(engine)
    with serving(engine) as url:
        yield Site(url, engine, {})


def running_trial(engine: Engine) -> tuple[int, int]:
    """A trial and the worker that runs it."""
    study, worker = make_study(engine), make_worker(engine)
    trial = claims.enqueue(engine, study_id=study.id, actor=ACTOR)
    claims.claim(engine, trial_id=trial.id, worker_id=worker)
    return trial.id, worker


def test_a_long_log_is_searched_and_read_upwards(visit: Open, own: Site) -> None:
    trial, _ = running_trial(own.engine)
    line = b"step 1 loss 0.5 " + b"." * 240 + b"\n"
    piece = (line * (MEBIBYTE // len(line))).ljust(MEBIBYTE - 1, b"-") + b"\n"
    for sequence in range(PIECES):
        content = piece if sequence != 3 else b"the \x1b[31mNEEDLE\x1b[0m \xe2\x80\xae in it\n" + piece[:-40]
        logs.append(own.engine, trial_id=trial, epoch=1, sequence=sequence, content=content)
    made = visit(at=own)
    page = made.open(f"/trials/{trial}/log")
    log = page.get_by_label("Output of the training job")
    size = "document.getElementById('log').textContent.length"
    assert page.evaluate(size) < 80_000
    for _ in range(12):
        before = page.evaluate("document.getElementById('log').firstElementChild.dataset.first")
        log.evaluate("log => { log.scrollTop = 0; }")
        page.wait_for_function(MOVED, arg=before)
    assert page.evaluate(size) < 8 * 66_000
    assert page.evaluate("document.getElementById('log').childElementCount") <= 8

    page.get_by_label("Search this log").fill("needle")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("#log mark")).to_have_text("NEEDLE")
    expect(page.locator("#log mark")).to_be_in_viewport()
    expect(log).to_contain_text("the NEEDLE <U+202E> in it")
    assert "q=needle" in page.url
    page.get_by_role("link", name="Next", exact=True).click()
    expect(page.locator("#where")).to_contain_text("No needle from byte")
    page.get_by_role("link", name="Previous", exact=True).click()
    expect(page.locator("#log mark")).to_have_text("NEEDLE")
    with page.expect_download() as downloading:
        page.get_by_role("link", name="Download").click()
    assert downloading.value.suggested_filename == f"trial-{trial}-attempt-1.log"
    made.page.goto("about:blank")


def test_a_worker_is_drained_and_works_again(visit: Open, own: Site) -> None:
    trial, worker = running_trial(own.engine)
    made = visit(at=own)
    page = made.open("/workers")
    expect(page.locator("#workers tbody tr")).to_contain_text("alive")
    expect(page.locator("figure-view")).to_have_attribute("data-state", "ready")
    page.get_by_role("button", name="Drain worker").click()
    expect(page.locator("#workers tbody tr")).to_contain_text("draining")
    assert workers.beat(own.engine, worker_id=worker).drain
    page.get_by_role("button", name=re.compile("accept work again")).click()
    expect(page.locator("#workers tbody tr")).to_contain_text("alive")
    page.get_by_role("link", name="1 day").click()
    expect(page).to_have_url(re.compile("hours=24"))
    expect(page.locator("figure-view")).to_have_attribute("src", re.compile("hours=24"))
    page.get_by_text("What draining does").click()
    expect(page.get_by_text("stays drained")).to_be_visible()
    page.get_by_role("link", name=re.compile("^#")).first.click()
    expect(page).to_have_url(f"{own.url}/trials/{trial}")
    made.page.goto("about:blank")


def test_the_page_of_a_trial_shows_what_it_uses(visit: Open, own: Site) -> None:
    trial, _ = running_trial(own.engine)
    steps, values = np.arange(10, 300, 10), np.linspace(1.0, 90.0, 29)
    series = {"system/cpu_percent": (steps, values), "valid/error": (steps, 1 / values)}
    metrics.report(own.engine, trial_id=trial, epoch=1, sequence=0, series=series, content_hash=b"x")
    made = visit(at=own)
    page = made.open(f"/trials/{trial}")
    figure = page.locator("#figure-system-1")
    figure.scroll_into_view_if_needed()
    expect(figure).to_have_attribute("data-state", "ready")
    expect(page.locator("#system-plots .figure")).to_have_count(1)
    expect(page.locator("#plots .figure")).to_have_count(1)
    expect(page.locator("#metrics")).not_to_contain_text("system/")
    expect(page.locator("#attempts")).to_contain_text("running")
    page.get_by_role("link", name="Log of attempt 1").click()
    expect(page.get_by_role("heading", name="Log of trial")).to_be_visible()
    made.page.goto("about:blank")
