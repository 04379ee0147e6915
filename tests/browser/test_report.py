"""Reports: one file that draws itself with no server and no network, whatever names hold."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.test_hostile import PAYLOADS
from tests.browser.window import Site, log_in
from tunebook_server.services import findings, rounds, studies

pytestmark = pytest.mark.browser

WORDS = "\n".join(PAYLOADS)


def downloaded(site: Site, browser: Browser, path: str, file: Path) -> None:
    context = browser.new_context()
    log_in(context, site)
    answer = context.request.get(f"{site.url}{path}/report.html")
    assert answer.headers["content-disposition"].startswith("attachment;")
    file.write_bytes(answer.body())
    context.close()


def drawn(page: Page, file: Path) -> None:
    """Opens the file alone in the world and waits until every figure is drawn."""
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
    page.on("request", lambda request: None if request.url == file.as_uri() else problems.append(request.url))
    page.goto(file.as_uri())
    figures = page.locator("figure[data-name]").count()
    assert figures > 3
    expect(page.locator("figure:has(.main-svg)")).to_have_count(figures)
    expect(page.locator("p.lead").filter(has_text="window.owned=1").first).to_be_visible()
    assert page.evaluate("window.owned") is None
    assert problems == []


def test_a_report_of_a_study_draws_itself_from_a_file(site: Site, browser: Browser, tmp_path: Path) -> None:
    study_id = site.studies[48]
    findings.refresh(site.engine, study_id=study_id)
    studies.edit(site.engine, study_id=study_id, changes={"conclusion": WORDS}, actor="user:x")
    downloaded(site, browser, f"/studies/{study_id}", tmp_path / "report.html")
    alone = browser.new_context(offline=True)
    page = alone.new_page()
    drawn(page, tmp_path / "report.html")
    expect(page.get_by_role("heading", name="Findings")).to_be_visible()
    alone.close()


def test_a_report_of_a_round_holds_all_of_its_studies(site: Site, browser: Browser, tmp_path: Path) -> None:
    changes = {"goal": WORDS, "conclusion": "Adam, \nby far."}
    rounds.edit(site.engine, round_id=site.round, changes=changes, actor="user:x")
    findings.refresh(site.engine, study_id=site.studies[48])
    downloaded(site, browser, f"/rounds/{site.round}", tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text().count("plotly.js v") == 1
    alone = browser.new_context(offline=True)
    page = alone.new_page()
    drawn(page, tmp_path / "report.html")
    for trials in (0, 1, 48):
        study_id = site.studies[trials]
        page.get_by_role("link", name=f"optimizer {trials}", exact=True).click()
        chapter = page.locator(f"#study-{study_id}")
        expect(chapter).to_be_in_viewport()
        expect(chapter.get_by_role("heading", name="Findings")).to_have_count(1)
        expect(chapter.locator("figure")).to_have_count(8)
    expect(page.get_by_text("only for batch_size = 64").first).to_be_visible()
    expect(page.get_by_text("2 more figures of this study are left out").first).to_be_visible()
    alone.close()
