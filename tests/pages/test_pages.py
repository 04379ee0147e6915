"""Pages over HTTP: who sees them, what they answer when nothing changed, and what forms do."""

import html
import re
from urllib.parse import urlencode

import httpx

from tests.api.site import DESIGN, Site, World
from tunebook_server.domain.trial import TrialState
from tunebook_server.pages.catalogue import CATALOGUE, entries
from tunebook_server.services import figures, metrics, projects, studies, templates, trials

PAGES = (
    "/",
    "/projects/{project}",
    "/projects/{project}/studies/new",
    "/rounds/{round}",
    "/studies/{study}",
    "/studies/{study}/plots",
    "/studies/{study}/trials",
    "/trials/{trial}",
    "/workers",
)


def paths(world: World) -> list[str]:
    return [page.format(**vars(world)) for page in PAGES]


def browse(site: Site, path: str, **headers: str) -> httpx.Response:
    return site.get(path, by=None, headers={**site.session(), **headers})


def send(site: Site, path: str, **fields: str) -> httpx.Response:
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    return site.request(
        "POST", path, by=None, headers={**site.session(), **kind}, content=urlencode(fields).encode()
    )


def test_every_page_renders_for_a_person(site: Site, world: World) -> None:
    for path in paths(world):
        answer = browse(site, path)
        assert answer.status_code == 200, path
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.headers["cache-control"] == "no-store"
        assert "<h1" in answer.text


def test_a_stranger_is_sent_to_the_login_and_back(site: Site, world: World) -> None:
    answer = site.get(f"/studies/{world.study}/trials?sort=number&state=failed", by=None)
    assert answer.status_code == 303
    assert (
        answer.headers["location"]
        == f"/login?next=%2Fstudies%2F{world.study}%2Ftrials%3Fsort%3Dnumber%26state%3Dfailed"
    )


def test_tokens_of_machines_open_no_page(site: Site, world: World) -> None:
    for by in ("worker", "trial"):
        for path in paths(world):
            assert site.get(path, by=by).status_code == 403, (by, path)


def test_parts_come_without_the_page_around_them_and_only_once(site: Site, world: World) -> None:
    path = f"/studies/{world.study}?y=log"
    answer = browse(site, path, **{"X-Parts": "yes"})
    assert "<nav" not in answer.text
    assert set(re.findall(r'id="([a-z-]+)" data-part', answer.text)) >= {"head", "axes-figures", "trials"}
    etag = answer.headers["etag"]
    assert browse(site, path, **{"X-Parts": "yes", "If-None-Match": etag}).status_code == 304
    assert browse(site, f"{path}&clip=off", **{"X-Parts": "yes", "If-None-Match": etag}).status_code == 200
    trials.edit_note(site.engine, trial_id=world.trial, note="seen", actor="user:x")
    assert browse(site, path, **{"X-Parts": "yes", "If-None-Match": etag}).status_code == 200


def test_what_is_not_there_is_a_page_that_says_so(site: Site, world: World) -> None:
    for path in (
        "/studies/99999",
        "/trials/99999",
        "/projects/99999",
        "/projects/x",
        "/studies/-1",
        f"/studies/{2**70}",
    ):
        answer = browse(site, path)
        assert answer.status_code == 404, path
        assert "All projects" in answer.text


def test_a_wrong_word_in_the_address_is_named(site: Site, world: World) -> None:
    for query in ("sort=wrong", "state=wrong", "cursor=wrong", "columns=wrong"):
        answer = browse(site, f"/studies/{world.study}/trials?{query}")
        assert answer.status_code == 422, query
        assert "rong" in answer.text or "cursor" in answer.text


def test_a_wrong_filter_is_named_and_takes_no_rows_away(site: Site, world: World) -> None:
    path = f"/studies/{world.study}/trials"
    assert "1 of 1" in browse(site, f"{path}?filter=state+=+running").text
    assert "0 of 1" in browse(site, f"{path}?filter=state+!=+running").text
    whole = browse(site, f"{path}?filter=colour+=+red")
    assert whole.status_code == 200
    assert 'aria-invalid="true" aria-describedby="filter-error"' in whole.text
    assert "no field &#39;colour&#39;" in whole.text
    assert "No rows: the filter cannot be read" in whole.text
    parts = browse(site, f"{path}?filter=colour+=+red", **{"X-Parts": "yes"})
    assert set(re.findall(r'id="([a-z-]+)"[^>]* data-part', parts.text)) == {
        "filter",
        "filter-help",
        "trial-tools",
    }


def test_forms_change_things_once_and_send_back(site: Site, world: World) -> None:
    assert (
        send(site, f"/studies/{world.study}/state", state="paused").headers["location"]
        == f"/studies/{world.study}"
    )
    assert studies.get(site.engine, study_id=world.study).state == "paused"
    assert send(site, f"/studies/{world.study}/state", state="asleep").status_code == 422
    send(site, f"/trials/{world.trial}/note", note="a\r\nb")
    assert trials.get(site.engine, trial_id=world.trial).note == "a\nb"
    send(site, f"/trials/{world.queued}/cancel")
    assert trials.get(site.engine, trial_id=world.queued).state is TrialState.STOPPED
    assert send(site, f"/trials/{world.queued}/retry").status_code == 409
    send(site, f"/projects/{world.project}", goal="better")
    assert projects.get(site.engine, project_id=world.project).goal == "better"
    made = send(site, "/projects", name="vision", goal="")
    assert browse(site, made.headers["location"]).status_code == 200
    assert send(site, "/projects", name="vision").status_code == 409


def test_an_edit_of_an_old_revision_is_refused(site: Site, world: World) -> None:
    old = str(projects.get(site.engine, project_id=world.project).revision)
    assert send(site, f"/projects/{world.project}", note="first", revision=old).status_code == 303
    assert send(site, f"/projects/{world.project}", note="second", revision=old).status_code == 412
    assert projects.get(site.engine, project_id=world.project).note == "first"


def test_a_study_is_made_from_a_form(site: Site, world: World) -> None:
    fields = {
        "mode": "form",
        "name": "lr",
        "objective.metric": "valid/loss",
        "budget.trials": "5",
        "space.7.name": "lr",
        "space.7.type": "float",
        "space.7.low": "1e-4",
        "space.7.high": "1",
        "space.7.scale": "log",
    }
    made = send(site, f"/projects/{world.project}/studies/new", **fields)
    assert made.status_code == 303
    study = studies.get(site.engine, study_id=int(made.headers["location"].rpartition("/")[2]))
    assert (study.budget, study.space.keys) == (5, ("lr",))
    refused = send(site, f"/projects/{world.project}/studies/new", **{**fields, "space.7.low": "x"})
    assert refused.status_code == 422
    assert "space.0.low" in refused.text
    assert 'value="valid/loss"' in refused.text


def test_a_preview_names_faults_or_shows_a_figure(site: Site, world: World) -> None:
    path = f"/projects/{world.project}/studies/preview"
    empty = send(site, path, mode="form").json()
    assert empty["figure"] is None
    assert "name" in empty["html"]
    head = 'name = "x"\nobjective = { metric = "m" }\nbudget = { trials = 9 }'
    toml = f'{head}\n[[space]]\nname = "b"\ntype = "boolean"'
    good = send(site, path, mode="toml", toml=toml).json()
    assert len(good["figure"]["data"]) == 1
    assert "9 of 9 trials" in good["html"]


def test_bodies_that_are_no_form_are_refused(site: Site, world: World) -> None:
    for content in (b"\xff\xfe=%ff", b"&".join(b"a=1" for _ in range(6_000)), b"note=%00"):
        kind = {"Content-Type": "application/x-www-form-urlencoded", **site.session()}
        answer = site.request("POST", f"/trials/{world.trial}/note", by=None, headers=kind, content=content)
        assert answer.status_code == 422, content[:20]


def test_a_form_of_another_site_is_refused(site: Site, world: World) -> None:
    headers = {
        **site.session(),
        "Sec-Fetch-Site": "cross-site",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    answer = site.request(
        "POST", f"/studies/{world.study}/state", by=None, headers=headers, content=b"state=paused"
    )
    assert answer.status_code == 403
    assert studies.get(site.engine, study_id=world.study).state == "running"


def test_a_reported_point_changes_the_trials_page(site: Site, world: World) -> None:
    import numpy as np

    trial = trials.get(site.engine, trial_id=world.trial)
    series = {
        "valid/error": (np.array([5]), np.array([0.25])),
        "grad_norm": (np.array([5]), np.array([np.nan])),
    }
    metrics.report(
        site.engine, trial_id=trial.id, epoch=trial.epoch, sequence=9, series=series, content_hash=b"x"
    )
    shown = browse(site, f"/trials/{trial.id}").text
    assert "0.25" in shown
    assert shown.count("<figure-view") == 2
    assert "1 NaN or ∞" in shown
    assert DESIGN["name"] in shown


def test_a_conclusion_is_kept_with_its_caveats_and_never_overwritten(site: Site, world: World) -> None:
    page = browse(site, f"/studies/{world.study}").text
    assert "It holds" in page
    edition = re.search(r'name="edition" value="([0-9a-f]+)"', page)
    assert edition
    path = f"/studies/{world.study}/conclusion"
    assert send(site, path, conclusion="Adam <wins>.", edition=edition[1]).status_code == 303
    assert studies.get(site.engine, study_id=world.study).conclusion == "Adam <wins>."
    assert "Adam &lt;wins&gt;." in browse(site, f"/studies/{world.study}").text
    assert send(site, path, conclusion="It does not.", edition=edition[1]).status_code == 412
    assert studies.get(site.engine, study_id=world.study).conclusion == "Adam <wins>."


def test_every_figure_of_the_catalogue_can_be_drawn(site: Site, world: World) -> None:
    study = studies.get(site.engine, study_id=world.study)
    assert {entry.kind for entry in CATALOGUE} >= set(figures.KINDS) - {"trial-curves", "system"}
    for entry in entries(study):
        page = browse(site, f"/studies/{world.study}/plots?kind={entry.kind}&parameter=%3Cb%3E&by=x")
        assert page.status_code == 200, entry.kind
        assert entry.look_for[:40] in html.unescape(page.text)
        src = re.search(r'<figure-view id="figure-plot-[^>]* src="([^"]+)"', page.text)
        assert src, entry.kind
        assert browse(site, html.unescape(src[1])).status_code == 200, src[1]
    assert browse(site, f"/studies/{world.study}/plots?kind=nothing").status_code == 404


def test_budget_and_turn_are_changed_while_a_study_runs(site: Site, world: World) -> None:
    path = f"/studies/{world.study}"
    found = re.search(r'name="edition" value="([^"]+)"', browse(site, path).text)
    assert found
    edition = found[1]
    changed = {"budget": "60", "parallel": "3", "priority": "-2", "weight": "2.5", "edition": edition}
    assert send(site, f"{path}/turn", **changed).status_code == 303
    study = studies.get(site.engine, study_id=world.study)
    assert (study.budget, study.parallel, study.priority, study.weight) == (60, 3, -2, 2.5)
    assert "priority -2, weight 2.5" in browse(site, path).text
    assert send(site, f"{path}/turn", weight="3", edition=edition).status_code == 412
    for name, value in (
        ("weight", "nan"),
        ("weight", "-1"),
        ("priority", "1e3"),
        ("budget", "<b>"),
        ("parallel", "0"),
    ):
        answer = send(site, f"{path}/turn", **{name: value})
        assert answer.status_code == 422, name
        assert f"{name} is" in answer.text.lower()
        assert "<b>" not in answer.text.partition("<main")[2]
    assert studies.get(site.engine, study_id=world.study) == study


def test_a_project_has_a_share_and_its_templates_say_what_they_need(site: Site, world: World) -> None:
    path = f"/projects/{world.project}"
    assert send(site, path, weight="4", parallel="7").status_code == 303
    project = projects.get(site.engine, project_id=world.project)
    assert (project.weight, project.parallel) == (4.0, 7)
    assert send(site, path, parallel="").status_code == 303
    assert projects.get(site.engine, project_id=world.project).parallel is None
    assert send(site, path, parallel="many").status_code == 422
    needs = {"gpus": 2, "labels": {"gpu": "h200"}}
    templates.register(
        site.engine,
        project_id=world.project,
        name="large",
        argv=["python"],
        folder="/",
        resources=needs,
        processes=2,
        actor="user:tester",
    )
    assert "2 GPUs, gpu h200, 2 processes" in browse(site, path).text
