"""Rounds in a real browser: made, filled with studies, concluded with the caveats of all of them."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.test_hostile import PAYLOADS
from tests.browser.window import Site, Visit
from tests.services.making import make_study
from tunebook_server.services import projects, rounds, studies

pytestmark = pytest.mark.browser
Open = Callable[..., Visit]


def test_a_round_is_made_filled_and_concluded(visit: Open, site: Site) -> None:
    project = projects.create(site.engine, name="rounds", actor="user:x")
    page = visit().open(f"/projects/{project.id}")
    page.get_by_text("New round", exact=True).click()
    page.get_by_label("Name").fill("warmup")
    page.get_by_label("Goal: one narrow question").fill("How long a warmup?")
    page.get_by_role("button", name="Create").click()
    page.wait_for_url(re.compile(r"/rounds/\d+$"))
    round_id = int(page.url.rpartition("/")[2])

    page.get_by_role("link", name="Design a study").click()
    expect(page.get_by_label("Round")).to_have_value(str(round_id))
    page.get_by_role("button", name="TOML").click()
    assert f"round = {round_id}" in page.get_by_label("Study as TOML").input_value()
    page.get_by_role("button", name="Form").click()
    page.get_by_role("button", name="Create the study").click()
    page.wait_for_url(re.compile(r"/studies/\d+$"))
    first = int(page.url.rpartition("/")[2])
    assert studies.get(site.engine, study_id=first).round_id == round_id

    page.get_by_role("link", name="New study from this").click()
    expect(page.get_by_label("Round")).to_have_value(str(round_id))
    page.get_by_role("button", name="Create the study").click()
    page.wait_for_url(re.compile(r"/studies/\d+$"))
    page.get_by_role("navigation", name="Path").get_by_role("link", name="warmup").click()
    expect(page.locator("#studies tbody tr")).to_have_count(2)
    expect(page.locator("#caveats")).to_contain_text("only for batch_size = 64")
    compare = page.get_by_role("link", name="Compare its studies")
    expect(compare).to_have_attribute("href", re.compile(rf"/compare\?studies={first},\d+$"))
    page.get_by_role("textbox", name="Conclusion").fill("Five percent.")
    page.get_by_role("button", name="Save conclusion").click()
    expect(page.get_by_role("textbox", name="Conclusion")).to_have_value("Five percent.")

    page.get_by_role("link", name="rounds", exact=True).click()
    heading = page.locator("tr.round").first
    expect(heading).to_contain_text("How long a warmup?")
    expect(heading).to_contain_text("Conclusion: Five percent.")
    expect(page.locator("#studies tbody tr[data-href]")).to_have_count(2)


def test_a_round_leaves_by_the_form_and_hostile_names_stay_words(visit: Open, site: Site) -> None:
    study = make_study(site.engine, launched=False)
    actor = "user:x"
    for payload in PAYLOADS:
        made = rounds.create(
            site.engine, project_id=study.project_id, name=payload, goal=payload, actor=actor
        )
        rounds.edit(site.engine, round_id=made.id, changes={"conclusion": payload}, actor=actor)
    studies.edit(site.engine, study_id=study.id, changes={"round": made.id}, actor=actor)
    window = visit(width=400)
    page = window.open(f"/projects/{study.project_id}")
    for payload in PAYLOADS[2:]:
        expect(page.get_by_role("link", name=payload, exact=True)).to_have_count(1)
    page.get_by_role("link", name="Older rounds").click()
    for payload in PAYLOADS[:2]:
        expect(page.get_by_role("link", name=payload, exact=True)).to_have_count(1)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    page = window.open(f"/rounds/{made.id}")
    expect(page.get_by_role("heading", level=1)).to_have_text(PAYLOADS[-1])
    page = window.open(f"/projects/{study.project_id}/studies/new?from={study.id}&changes=[]")
    expect(page.get_by_label("Round").locator("option:checked")).to_have_text(PAYLOADS[-1])
    page.get_by_label("Round").select_option(label="none")
    page.get_by_role("button", name="Create the study").click()
    page.wait_for_url(re.compile(r"/studies/\d+$"))
    alone = int(page.url.rpartition("/")[2])
    assert studies.get(site.engine, study_id=alone).round_id is None
    page = window.open(f"/rounds/{made.id}")
    page.get_by_text("Add a study", exact=True).click()
    page.get_by_label("Study without a round").select_option(value=str(alone))
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.locator("#studies tbody tr")).to_have_count(2)
    assert studies.get(site.engine, study_id=alone).round_id == made.id
    assert page.evaluate("window.owned") is None
