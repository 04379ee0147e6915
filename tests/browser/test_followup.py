"""A follow-up in a real browser: drafted from proposals, its difference seen, then found in the lineage."""

import json
import re
from collections.abc import Callable
from urllib.parse import quote

import pytest
from playwright.sync_api import expect

from tests.browser.window import Site, Visit
from tests.services.making import make_study
from tunebook_server.domain.changes import Fix, Range, Trials, document
from tunebook_server.domain.study import Study
from tunebook_server.services import studies

pytestmark = pytest.mark.browser
Open = Callable[..., Visit]

HOSTILE = "<img src=x onerror=alert(1)> {{7*7}}"
PROPOSALS = (Range("learning_rate", 1e-4, 10), Fix("optimizer", "adam"), Trials(30))


def address(study: Study, *changes: Range | Fix | Trials, mode: str = "form") -> str:
    found = quote(json.dumps(document(changes)))
    return f"/projects/{study.project_id}/studies/new?mode={mode}&from={study.id}&changes={found}"


def test_a_draft_shows_its_difference_and_becomes_a_study_of_the_lineage(visit: Open, site: Site) -> None:
    parent = make_study(site.engine, name=HOSTILE)
    page = visit().open(address(parent, *PROPOSALS))
    preview = page.locator("#preview")
    expect(preview).to_contain_text(f"What changes against #{parent.id} {HOSTILE}")
    rows = preview.locator("table.difference tbody tr")
    expect(rows).to_have_text(
        [
            re.compile(r"optimizer\s+sgd, adam\s+fixed at adam"),
            re.compile(r"learning_rate\s+1e-4 … 1\s+1e-4 … 10"),
            re.compile(r"momentum\s+optimizer=sgd\s+0 … 0.99\s+left out"),
            re.compile(r"seed\s+0\s+1"),
            re.compile(r"trials\s+20\s+30"),
        ]
    )
    page.get_by_label("Trials", exact=True).fill("40")
    expect(rows.last).to_contain_text("40")
    page.get_by_role("button", name="TOML").click()
    assert f"parents = [{parent.id}]" in page.get_by_label("Study as TOML").input_value()
    page.get_by_role("button", name="Form").click()
    page.get_by_role("button", name="Create the study").click()

    page.wait_for_url(re.compile(r"/studies/\d+$"))
    made = studies.get(site.engine, study_id=int(page.url.rpartition("/")[2]))
    assert (made.parents, made.budget, made.seed) == ((parent.id,), 40, 1)
    expect(page.locator("#head .lineage")).to_contain_text(f"follows #{parent.id} {HOSTILE}")
    expect(page.locator("#head .lineage")).to_contain_text("learning_rate 1e-4 … 1 → 1e-4 … 10")
    page.locator("#head .lineage a").click()
    page.wait_for_url(f"{site.url}/studies/{parent.id}")
    expect(page.locator("#head .lineage")).to_have_text(f"followed by #{made.id} {made.name}")
    page.locator(".crumbs a").last.click()
    expect(page.locator("#studies tbody tr").first).to_contain_text(f"follows #{parent.id} {HOSTILE}")
    expect(page.locator("#studies tbody .lineage")).to_have_count(1)


def test_the_lineage_is_readable_on_a_phone(visit: Open, site: Site) -> None:
    parent = make_study(site.engine, name="width")
    page = visit(width=400).open(address(parent, Trials(30)))
    expect(page.locator("table.difference")).to_be_visible()
    page.get_by_role("button", name="Create the study").click()
    page.wait_for_url(re.compile(r"/studies/\d+$"))
    for path in (page.url, f"{site.url}/projects/{parent.project_id}"):
        page.goto(path)
        link = page.get_by_role("link", name=f"#{parent.id} width")
        expect(link).to_be_in_viewport(ratio=1)
        assert page.evaluate("document.documentElement.scrollWidth") <= 400


def test_a_change_that_cannot_be_applied_is_named(visit: Open, site: Site) -> None:
    parent = make_study(site.engine)
    made = visit()
    for changes, words in (
        (json.dumps(document([Trials(3), Range("lr", 0, 1)])), "Change 2 cannot be applied"),
        ("[" * 3_000, "not JSON"),
        ('{"change": "fix"}', "changes is an object"),
    ):
        path = f"/projects/{parent.project_id}/studies/new?from={parent.id}&changes={quote(changes)}"
        expect(made.open(path).get_by_role("alert")).to_contain_text(words, ignore_case=True)
    made.problems[:] = [problem for problem in made.problems if "422" not in problem]
