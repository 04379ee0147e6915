"""S9: text that people and machines store can neither run nor call home, in any page or figure."""

from collections.abc import Callable
from urllib.parse import quote, urlencode

import numpy as np
import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import Engine

from tests.browser.window import UNFOLD, Site, Visit
from tunebook_server.domain.filters.spelling import quoted
from tunebook_server.domain.study import StudyDesign
from tunebook_server.services import (
    checkpoints,
    findings,
    logs,
    metrics,
    projects,
    studies,
    templates,
    trials,
    workers,
)
from tunebook_server.services.checkpoints import Resumed

pytestmark = pytest.mark.browser
Open = Callable[..., Visit]

PAYLOADS = (
    "<script>window.owned=1</script>",
    "<img src=x onerror=window.owned=1>",
    '"><svg onload=window.owned=1>',
    "'><img src=https://evil.example/a.png>",
    '<a href="https://evil.example/">click</a>',
    '<a href="javascript:window.owned=1">click</a>',
    "<b>bold</b><br>second line",
    "&lt;script&gt;window.owned=1&lt;/script&gt;",
    "&#60;img src=x onerror=window.owned=1&#62;",
    "</title><script>window.owned=1</script>",
    "</textarea></pre><img src=x onerror=window.owned=1>",
    "</template><img src=x onerror=window.owned=1>",
    "{{ 7 * 7 }}{% raw %}",
    "%{customdata[0]}%{y:<img src=https://evil.example/b.png>}",
    "$\\href{https://evil.example/}{x}$",
    "<style>@import 'https://evil.example/c.css';</style>",
    '<iframe srcdoc="<script>parent.owned=1</script>"></iframe>',
    "<base href=https://evil.example/>",
    "var(--figure-top)",
    "<meta http-equiv=refresh content=0;url=https://evil.example/>",
    "' autofocus onfocus=window.owned=1 x='",
    "<math><mtext><img src=x onerror=window.owned=1></mtext></math>",
)
ACTOR = f"user:{PAYLOADS[0]}"


def grow(engine: Engine) -> tuple[int, int, int]:
    """A project, study and trial with a payload in every field that takes text."""
    project_id = projects.create(
        engine, name=PAYLOADS[0], goal="\n".join(PAYLOADS), note=PAYLOADS[10], actor=ACTOR
    ).id
    templates.register(
        engine,
        project_id=project_id,
        name=PAYLOADS[4],
        argv=["python", *PAYLOADS],
        folder=f"/{PAYLOADS[1]}",
        environment=[PAYLOADS[2]],
        actor=ACTOR,
    )
    study_id = studies.create(engine, project_id=project_id, design=design(), actor=ACTOR).id
    worker = workers.register(
        engine, name=PAYLOADS[1], host=PAYLOADS[2], slots=2, version=PAYLOADS[3], actor=ACTOR
    )
    trial_id = 0
    for number, payload in enumerate(PAYLOADS):
        queued = trials.enqueue(
            engine, study_id=study_id, parameters={"choice": payload, "fixed": PAYLOADS[8]}, actor=ACTOR
        )
        claim = trials.claim(engine, trial_id=queued.id, worker_id=worker.id, host=payload)
        trial_id, epoch = queued.id, claim.trial.epoch
        environment = {"git": {"commit": payload, "dirty": True}}
        resumed = Resumed(None, None, payload)
        trials.start(
            engine, trial_id=trial_id, epoch=epoch, environment=environment, host=payload, resumed=resumed
        )
        report(engine, trial_id, epoch, 0.1 + number / 100)
        content = "\n".join(PAYLOADS).encode()
        logs.append(engine, trial_id=trial_id, epoch=epoch, sequence=0, content=content)
        uri = f"/{payload}/{trial_id}"
        checkpoints.register(
            engine,
            trial_id=trial_id,
            epoch=epoch,
            step=1,
            uri=uri,
            metric=0.5,
            size_bytes=2**40,
            content_hash=payload,
        )
        trials.edit_note(engine, trial_id=trial_id, note=payload, actor=ACTOR)
        state = "infeasible" if number % 3 == 2 else "completed"
        if number < len(PAYLOADS) - 1:
            trials.finish(engine, trial_id=trial_id, epoch=epoch, state=state, reason=payload)
    return project_id, study_id, trial_id


def another(engine: Engine, project_id: int) -> int:
    """A second study, told apart from the first by a payload."""
    fixed = {"name": "fixed", "type": "fixed", "value": PAYLOADS[1]}
    choice = {"name": "choice", "type": "categorical", "choices": list(PAYLOADS)}
    document = {**design().document(), "name": PAYLOADS[2], "space": [choice, fixed]}
    document |= {"budget": {"trials": 40, "parallel": 40}}
    parsed = StudyDesign.parse(document)
    study_id = studies.create(engine, project_id=project_id, design=parsed, actor=ACTOR).id
    asked = trials.ask(engine, study_id=study_id, client_id=PAYLOADS[3], count=6, actor=ACTOR)
    for number, claim in enumerate(asked):
        report(engine, claim.trial.id, 1, 0.2 + number / 100)
        trials.finish(engine, trial_id=claim.trial.id, epoch=1, state="completed", reason=PAYLOADS[number])
    return study_id


def design() -> StudyDesign:
    return StudyDesign.parse(
        {
            "name": PAYLOADS[0],
            "goal": PAYLOADS[1],
            "note": "\n".join(PAYLOADS),
            "objective": {"metric": PAYLOADS[13]},
            "budget": {"trials": 100, "parallel": 4},
            "job": {"template": PAYLOADS[4]},
            "space": [
                {"name": "choice", "type": "categorical", "choices": list(PAYLOADS)},
                {"name": "fixed", "type": "fixed", "value": PAYLOADS[8]},
            ],
        }
    )


def report(engine: Engine, trial_id: int, epoch: int, value: float) -> None:
    steps = np.array([1, 2, 3])
    series = {name: (steps, np.array([0.9, 0.5, value])) for name in (PAYLOADS[13], *PAYLOADS[:4])}
    metrics.report(engine, trial_id=trial_id, epoch=epoch, sequence=0, series=series, content_hash=b"hostile")


def check(page: Page, site: Site) -> None:
    """No script ran, and no link leads away, in HTML or in SVG."""
    assert page.evaluate("window.owned") is None, page.url
    links = page.evaluate(
        "[...document.querySelectorAll('a')].map(a => a.href.baseVal ?? a.href).filter(href => href)"
    )
    assert [link for link in links if not link.startswith(site.url)] == []
    assert page.locator("iframe, base, meta[http-equiv]").count() == 0
    assert page.locator("body style, body script").count() == 0


def test_stored_text_neither_runs_nor_calls_home(visit: Open, site: Site) -> None:
    project_id, study_id, trial_id = grow(site.engine)
    other_id = another(site.engine, project_id)
    for grown in (study_id, other_id):
        findings.refresh(site.engine, study_id=grown)
    ids = [row.trial.id for row in trials.page(site.engine, study_id=study_id, limit=8).items]
    made = visit()
    paths = (
        "/",
        f"/projects/{project_id}",
        f"/projects/{project_id}/studies/new?mode=toml&from={study_id}",
        f"/projects/{project_id}/studies/new?mode=form&from={study_id}",
        f"/studies/{study_id}",
        f"/studies/{study_id}/plots",
        f"/studies/{study_id}/trials",
        f"/studies/{study_id}/trials?" + urlencode({"filter": f"choice = {quoted(PAYLOADS[2])}"}),
        f"/studies/{study_id}/trials?" + urlencode({"filter": PAYLOADS[1]}),
        f"/trials/{trial_id}",
        f"/compare?trials={','.join(map(str, ids))}",
        f"/compare?studies={study_id},{other_id}",
        f"/compare?studies={study_id},{other_id}&by=study",
        "/workers",
    )
    for path in paths:
        page = made.open(path)
        page.evaluate(UNFOLD)
        for view in page.locator("figure-view[src]").all():
            view.scroll_into_view_if_needed()
            expect(view).to_have_attribute("data-state", "ready")
        check(page, site)


def test_figures_show_hostile_names_as_they_are(visit: Open, site: Site) -> None:
    _, study_id, _ = grow_again(site.engine)
    made = visit()
    page = made.open(f"/studies/{study_id}")
    view = page.locator("#figure-axis-choice")
    ticks = view.locator(".xtick text").all_text_contents()
    assert ticks[0] == "<script>window.ow…"
    assert "<b>" in ticks[6]
    marks = view.locator(".subplot.xy path.point")
    for place in range(0, marks.count(), 5):
        box = marks.nth(place).bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        expect(page.locator("#card")).to_be_visible()
        check(page, site)
        page.mouse.move(0, 0)


def grow_again(engine: Engine) -> tuple[int, int, int]:
    """The study of the test before, or a new one where this test runs alone."""
    found = [row.project for row in projects.page(engine).items if row.project.name == PAYLOADS[0]]
    if not found:
        return grow(engine)
    study = studies.page(engine, project_id=found[0].id).items[0]
    return found[0].id, study.id, 0


def test_a_hostile_address_is_text_too(visit: Open, site: Site) -> None:
    made = visit()
    for payload in PAYLOADS:
        for path in (
            "?family=&clip=",
            "/trials?filter=",
            "/trials?state=",
            "/trials?sort=",
            "/trials?columns=",
        ):
            page = made.open(f"{site.study(48)}{path}{quote(payload)}")
            check(page, site)
    made.problems[:] = [problem for problem in made.problems if "422" not in problem]
