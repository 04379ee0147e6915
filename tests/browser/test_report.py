"""The report of a study: one file that draws itself with no server and no network, whatever names hold."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.test_hostile import PAYLOADS
from tests.browser.window import Site, log_in
from tunebook_server.services import findings, studies

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


def test_a_report_draws_itself_from_a_file(site: Site, browser: Browser, tmp_path: Path) -> None:
    study_id = site.studies[48]
    findings.refresh(site.engine, study_id=study_id)
    words = "\n".join(PAYLOADS)
    studies.edit(site.engine, study_id=study_id, changes={"conclusion": words}, actor="user:x")
    context = browser.new_context()
    log_in(context, site)
    answer = context.request.get(f"{site.study(48)}/report.html")
    assert answer.headers["content-disposition"].startswith("attachment;")
    file = tmp_path / "report.html"
    file.write_bytes(answer.body())
    context.close()

    alone = browser.new_context(offline=True)
    page = alone.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
    page.on("request", lambda request: None if request.url == file.as_uri() else problems.append(request.url))
    page.goto(file.as_uri())
    expect(page.locator("figure .main-svg").first).to_be_visible()
    assert page.locator("figure:has(.main-svg)").count() == page.locator("figure[data-place]").count() > 3
    expect(page.get_by_role("heading", name="Findings")).to_be_visible()
    expect(page.locator("p.lead").filter(has_text="window.owned=1")).to_be_visible()
    assert page.evaluate("window.owned") is None
    assert problems == []
    alone.close()
