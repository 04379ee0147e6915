"""Trials and studies side by side in a real browser."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.window import Site, Visit
from tests.comparing import grow
from tunebook_server.services import findings, studies, trials

pytestmark = pytest.mark.browser
Open = Callable[..., Visit]


@pytest.fixture(scope="module")
def pair(site: Site) -> tuple[int, int]:
    """A study, and one that follows it and is better."""
    project_id = studies.get(site.engine, study_id=site.studies[48]).project_id
    first = grow(site.engine, project_id, "sgd")
    second = grow(site.engine, project_id, "adam", better=0.5, parents=[first])
    for study_id in (first, second):
        findings.refresh(site.engine, study_id=study_id)
    return first, second


def drawn(page: Page) -> None:
    for view in page.locator("figure-view[src]").all():
        view.scroll_into_view_if_needed()
        expect(view).to_have_attribute("data-state", "ready")


def test_studies_are_ticked_and_compared(visit: Open, site: Site, pair: tuple[int, int]) -> None:
    page = visit().open(f"/projects/{studies.get(site.engine, study_id=pair[0]).project_id}")
    for study_id in pair:
        page.get_by_label(re.compile(f"Compare study #{study_id} ")).check()
    page.get_by_role("button", name="Compare selected").click()
    page.wait_for_url(re.compile(r"/compare\?studies="))
    expect(page.locator("#said")).to_contain_text("optimizer adam wins")
    expect(page.locator(".fairness")).to_contain_text("Of what is fixed in all, only optimizer differs.")
    expect(page.locator(".differs")).to_have_count(1)
    drawn(page)
    ticks = page.locator("#figure-across-isolation .xtick text").all_text_contents()
    assert sorted(ticks) == ["adam", "sgd"]
    page.get_by_role("link", name="name", exact=True).click()
    page.wait_for_url(re.compile("by=study"))
    expect(page.locator("#figure-across-isolation .xtick text").first).to_have_text(re.compile("^#"))
    page.get_by_role("link", name=f"Take study {pair[0]} out of the comparison").click()
    expect(page.locator(".empty")).to_contain_text("One study is nothing to compare")


def test_a_study_is_compared_with_its_parent(visit: Open, pair: tuple[int, int]) -> None:
    page = visit().open(f"/studies/{pair[1]}")
    page.get_by_role("link", name="Compare with its parent").click()
    page.wait_for_url(f"**/compare?studies={pair[0]},{pair[1]}")
    expect(page.get_by_role("heading", name="Compare 2 studies")).to_be_visible()


def test_what_is_ticked_stays_ticked_while_trials_run(visit: Open, site: Site, pair: tuple[int, int]) -> None:
    project_id = studies.get(site.engine, study_id=pair[0]).project_id
    page = visit().open(f"/projects/{project_id}")
    box = page.get_by_label(re.compile(f"Compare study #{pair[0]} "))
    box.check()
    trials.ask(site.engine, study_id=pair[0], client_id="later", count=1, actor="user:owner")
    studies.edit(site.engine, study_id=pair[0], changes={"note": "swapped in"}, actor="user:owner")
    expect(page.locator("#studies")).to_contain_text("swapped in")
    expect(box).to_be_checked()


def test_trials_of_two_studies_side_by_side(visit: Open, site: Site, pair: tuple[int, int]) -> None:
    best = [studies.get(site.engine, study_id=study_id).best_trial_id for study_id in pair]
    page = visit().open(f"/compare?trials={best[0]},{best[1]}")
    expect(page.locator("#luck")).to_contain_text("0.5 lower than")
    expect(page.locator("#luck")).to_contain_text("one trial each says little")
    names = [row.split("\n")[0] for row in page.locator(".differs").all_inner_texts()]
    assert names[0].startswith("optimizer")
    drawn(page)
    traces = page.locator("figure-view").evaluate(
        "v => v.querySelector('.plot').data.map(({name, line}) => [name, line?.color, line?.dash])"
    )
    solid, dotted = ([color for _, color, dash in traces if dash == kind] for kind in ("solid", "dot"))
    assert set(solid) == set(dotted)
    assert len(set(solid)) == 2
    page.get_by_role("link", name=re.compile("^Take trial")).first.click()
    expect(page.locator(".lead")).to_contain_text("One trial is nothing to compare")


def test_curves_of_another_family_are_a_link(visit: Open, site: Site) -> None:
    rows = trials.page(site.engine, study_id=site.studies[48], sort="objective", limit=3).items
    page = visit().open("/compare?trials=" + ",".join(str(row.trial.id) for row in rows))
    page.get_by_role("link", name="loss", exact=True).click()
    page.wait_for_url(re.compile("family=loss"))
    view = page.locator("figure-view")
    expect(view).to_have_attribute("src", re.compile("family=loss"))
    expect(view.locator(".ytitle")).to_contain_text("loss")
    expect(page.locator("details.passed summary")).to_contain_text("with the same value in all")


def test_copied_python_names_the_studies(visit: Open, site: Site, pair: tuple[int, int]) -> None:
    page = visit().open(f"/compare?studies={pair[0]},{pair[1]}")
    for kind in ("isolation", "best-of-k", "distribution"):
        figure = page.locator(".figure", has=page.locator(f"#figure-across-{kind}"))
        code = figure.get_by_text("Copy Python").get_attribute("data-copy") or ""
        assert code.endswith(f"\nclient.figure({kind!r}, studies=[{pair[0]}, {pair[1]}])")


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ("studies=1,987654321", 404, "There is no study 987654321"),
        ("trials=987654321", 404, "There is no trial 987654321"),
        ("studies=1,x", 422, "Use a whole number"),
        ("studies=" + ",".join(map(str, range(1, 31))), 422, "Name 1 to 12"),
        ("trials=" + ",".join(map(str, range(1, 31))), 422, "Name 1 to 20"),
        ("trials=1&studies=2", 422, "Leave one of them out"),
    ],
)
def test_what_cannot_be_compared_is_said(visit: Open, query: str, status: int, words: str) -> None:
    made = visit()
    page = made.open(f"/compare?{query}")
    expect(page.get_by_role("alert")).to_contain_text(words)
    made.problems[:] = [problem for problem in made.problems if str(status) not in problem]


def test_nothing_chosen_says_how_to_choose(visit: Open) -> None:
    expect(visit().open("/compare").locator(".empty")).to_contain_text("/compare?studies=1,2")


def test_studies_of_different_objectives_have_no_isolation(
    visit: Open, site: Site, pair: tuple[int, int]
) -> None:
    project_id = studies.get(site.engine, study_id=pair[0]).project_id
    objective = {"metric": "valid/accuracy", "direction": "maximize"}
    other = grow(site.engine, project_id, "lamb", objective=objective)
    page = visit().open(f"/compare?studies={pair[0]},{other}")
    expect(page.locator("#said")).to_contain_text("This is no fair comparison: objective.")
    expect(page.locator(".empty")).to_contain_text("measure different things")
    expect(page.locator("figure-view")).to_have_count(0)
