"""The other pages in a real browser: login, projects, new study, workers, trial."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect
from sqlalchemy import Engine

from tests.browser.window import Site, Visit, serving
from tunebook_server.services import access, logs, trials

pytestmark = pytest.mark.browser
Open = Callable[..., Visit]


def test_a_code_opens_the_page_that_was_asked_for(visit: Open, site: Site) -> None:
    page = visit(login=False).open("/workers")
    assert "/login?next=%2Fworkers" in page.url
    page.get_by_label("Login code").fill(access.issue_login_code(site.engine))
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"{site.url}/workers")
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url(re.compile("/login"))


def test_a_code_in_the_address_is_used_and_forgotten(visit: Open, site: Site) -> None:
    made = visit(login=False)
    made.page.goto(f"{site.url}/login#code={access.issue_login_code(site.engine)}")
    made.page.wait_for_url(f"{site.url}/")
    assert not any("code=" in url for url in made.requests)


def test_a_wrong_code_says_what_to_do(visit: Open) -> None:
    made = visit(login=False)
    page = made.open("/login")
    page.get_by_label("Login code").fill("AAAAA-AAAAA")
    page.get_by_role("button", name="Log in").click()
    expect(page.locator("#error")).to_contain_text("tunebook up")
    made.problems.clear()  # the 401 is what this test is about


def test_a_project_and_a_study_are_made_from_the_form(visit: Open, site: Site) -> None:
    page = visit().open("/")
    page.get_by_text("New project").click()
    page.get_by_label("Name").fill("vision")
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_text("No study in this project yet")).to_be_visible()
    page.get_by_role("link", name="New study", exact=True).click()

    expect(page.locator("#preview")).to_contain_text("24 of 24 trials")
    expect(page.locator("#sampled")).to_have_attribute("data-state", "ready")
    page.get_by_role("button", name="Add a hyperparameter").click()
    row = page.locator(".parameter").last
    row.get_by_label("Name").fill("optimizer")
    row.get_by_label("Type").select_option("categorical")
    expect(row.get_by_label("Low")).to_be_hidden()
    expect(page.locator("#preview .faults")).to_contain_text("choices")
    row.get_by_label("Choices, between commas").fill("nesterov, adam")
    expect(page.locator("#preview")).to_contain_text("2 searched hyperparameters")
    assert page.locator("#sampled").evaluate("v => v.querySelector('.plot')._fullData.length") == 2

    page.get_by_role("button", name="TOML").click()
    toml = page.get_by_label("Study as TOML")
    assert 'choices = ["nesterov", "adam"]' in toml.input_value()
    page.get_by_role("button", name="Form").click()
    expect(page.locator(".parameter")).to_have_count(3)
    page.get_by_role("button", name="Create the study").click()
    page.wait_for_url(re.compile(r"/studies/\d+$"))
    expect(page.get_by_text("This study has no job template")).to_be_visible()


def test_faults_stand_beside_the_toml_as_it_is_typed(visit: Open) -> None:
    made = visit()
    page = made.open("/projects/1/studies/new?mode=toml")
    toml = page.get_by_label("Study as TOML")
    toml.fill("name = ")
    expect(page.locator("#preview .faults")).to_contain_text("the TOML cannot be read")
    toml.fill(
        'name = "x"\n[objective]\nmetric = "m"\n[[space]]\nname = "lr"\ntype = "float"\nlow = 2.0\nhigh = 1.0'
    )
    expect(page.locator("#preview .faults")).to_contain_text("space.0.low")
    page.get_by_role("button", name="Create the study").click()
    expect(page.get_by_role("alert")).to_contain_text("space.0.low")
    assert "high = 1.0" in toml.input_value()
    made.problems[:] = [problem for problem in made.problems if "422" not in problem]


def test_a_study_is_paused_and_resumed(visit: Open, site: Site) -> None:
    page = visit().open(site.study(0))
    page.get_by_role("button", name="Pause").click()
    expect(page.locator(".badge .state")).to_have_text("paused")
    page.get_by_role("button", name="Resume").click()
    expect(page.locator(".badge .state")).to_have_text("running")


def test_a_trial_shows_how_to_run_it_again(visit: Open, site: Site) -> None:
    page = visit().open(site.study(48))
    page.locator("#trials tbody tr a").first.click()
    expect(page.locator("#reproduce pre")).to_contain_text(
        re.compile(r"python digits_mlp\.py.+--optimizer=", re.DOTALL)
    )
    expect(page.locator("#reproduce pre")).to_contain_text("cd /srv/digits")
    expect(page.locator("figure-view").first).to_have_attribute("data-state", "ready")
    page.get_by_label("Note").fill("worth a second look")
    page.get_by_role("button", name="Save note").click()
    expect(page.get_by_label("Note")).to_have_value("worth a second look")


def test_the_log_of_a_running_trial_is_followed(visit: Open, site: Site) -> None:
    study_id = site.studies[48]
    running = trials.page(site.engine, study_id=study_id, states=["running"], limit=1).items[0].trial
    page = visit().open(f"/trials/{running.id}")
    log = page.get_by_label("Output of the training job")
    expect(log).to_have_text("")
    for sequence, line in enumerate((b"step 10 loss 0.5\n", "step 20 <b>größer</b>\n".encode())):
        logs.append(site.engine, trial_id=running.id, epoch=running.epoch, sequence=sequence, content=line)
        expect(log).to_contain_text(line.decode().strip())
    expect(log).to_contain_text("step 10 loss 0.5")
    page.reload()
    expect(log).to_contain_text("step 20 <b>größer</b>")


def test_empty_pages_say_what_to_do_next(visit: Open, site: Site, engine: Engine) -> None:
    with serving(engine) as url:
        access.ensure_owner(engine)
        made = visit(at=Site(url, engine, {}))
        expect(made.open("/").locator(".empty")).to_contain_text("tunebook study run")
        expect(made.open("/workers").locator(".empty")).to_contain_text("tunebook worker")
        made.page.goto("about:blank")
    expect(visit().open(site.study(0)).locator(".empty")).to_contain_text("tunebook worker --slots")


def test_pages_that_are_not_there_say_so(visit: Open) -> None:
    made = visit()
    page = made.open("/studies/987654321")
    expect(page.get_by_role("alert")).to_contain_text("There is no study 987654321")
    made.problems[:] = [problem for problem in made.problems if "404" not in problem]
