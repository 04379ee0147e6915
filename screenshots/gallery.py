"""Every page over studies of every sort, in light, dark and narrow: to look at, not for the docs.

Studies of 0, 1, 48 and 10,000 trials, one with nothing but infeasible trials, one with a single scientific
value, one in which every text is hostile; and the pages that show several of them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from playwright.sync_api import Browser, BrowserContext
from sqlalchemy import Engine

from screenshots.camera import DRAWN, browsing
from screenshots.serving import served
from tests.browser.window import log_in
from tests.playbook.trainings import Training, carry_out, diverging, learning
from tests.scale import ACTOR, build
from tunebook_server.domain.trial import Configuration
from tunebook_server.pages.catalogue import entries
from tunebook_server.services import findings, rounds, studies, trials

Scheme = Literal["light", "dark"]
LOOKS: Mapping[str, tuple[int, Scheme]] = {
    "light": (1280, "light"),
    "dark": (1280, "dark"),
    "narrow": (400, "light"),
}
HOSTILE = '<img src=x onerror=alert(1)>%{y} $a$ "quoted", |piped| ' + "long " * 20
TALLEST_PIXELS = 12_000


@dataclass(frozen=True)
class Made:
    """Ids by name, and the project and round of the larger ones."""

    studies: Mapping[str, int]
    project: int
    round: int


def take(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with served() as (engine, site), browsing() as browser:
        made = _make(engine)
        for look, (width, scheme) in LOOKS.items():
            context = _context(browser, width, scheme)
            log_in(context, site)
            page = context.new_page()
            for name, path in _pages(engine, made):
                page.goto(site.url + path)
                for view in page.locator("figure-view:visible").all():
                    view.scroll_into_view_if_needed()
                    page.wait_for_function(DRAWN, arg=view.element_handle())
                target = folder / f"{name}-{look}.png"
                height = min(page.evaluate("document.documentElement.scrollHeight"), TALLEST_PIXELS)
                page.screenshot(
                    path=target,
                    full_page=True,
                    animations="disabled",
                    clip={"x": 0, "y": 0, "width": width, "height": height},
                )
                failed = page.locator("figure-view[data-state=failed]").count()
                wide = page.evaluate("document.documentElement.scrollWidth") - width
                print(f"{target}  {failed} figures failed, {max(wide, 0)} px too wide", flush=True)
            context.close()


def _context(browser: Browser, width: int, scheme: Scheme) -> BrowserContext:
    context = browser.new_context(
        viewport={"width": width, "height": 900}, device_scale_factor=1, color_scheme=scheme
    )
    context.set_default_timeout(60_000)
    return context


def _make(engine: Engine) -> Made:
    found = {str(count): build(engine, trials=count, project=f"trials {count}") for count in (0, 1, 48)}
    found["10000"] = build(engine, trials=10_000, project="trials 10000", running=2)
    found["infeasible"] = carry_out(engine, _document("all infeasible", 24), _infeasible).id
    one = {"space": [{**_space()[0], "choices": ["adam"]}, *_space()[1:]]}
    found["one-value"] = carry_out(engine, _document("one scientific value", 24, **one), _usual).id
    found["hostile"] = carry_out(engine, _hostile(), _usual, seed=3).id
    for study_id in found.values():
        findings.refresh(engine, study_id=study_id)
    project = studies.get(engine, study_id=found["hostile"]).project_id
    kept = rounds.create(engine, project_id=project, name="widths", goal="Which width wins?", actor=ACTOR)
    for name in ("infeasible", "one-value", "hostile"):
        studies.edit(engine, study_id=found[name], changes={"round": kept.id}, actor=ACTOR)
    return Made(found, project, kept.id)


def _pages(engine: Engine, made: Made) -> Iterator[tuple[str, str]]:
    for name, study_id in made.studies.items():
        yield f"study-{name}", f"/studies/{study_id}"
        yield f"trials-{name}", f"/studies/{study_id}/trials"
    for name in ("48", "10000", "infeasible", "one-value", "hostile"):
        study = studies.get(engine, study_id=made.studies[name])
        for entry in entries(study):
            yield f"figure-{entry.kind}-{name}", f"/studies/{study.id}/plots?kind={entry.kind}"
    for name in ("48", "infeasible", "hostile"):
        rows = trials.page(engine, study_id=made.studies[name], sort="objective", limit=3).items
        yield f"trial-{name}", f"/trials/{rows[0].trial.id}"
        yield f"compare-trials-{name}", f"/compare?trials={','.join(str(row.trial.id) for row in rows)}"
    yield "compare-studies", f"/compare?studies={made.studies['one-value']},{made.studies['hostile']}"
    yield "compare-sizes", f"/compare?studies={made.studies['48']},{made.studies['10000']}"
    yield "projects", "/"
    yield "project", f"/projects/{made.project}"
    yield "round", f"/rounds/{made.round}"
    yield "new-study", f"/projects/{made.project}/studies/new"
    yield "follow-up", f"/projects/{made.project}/studies/new?from={made.studies['hostile']}&changes=[]"
    yield "workers", "/workers"


def _space() -> list[dict[str, Any]]:
    return [
        {"name": "optimizer", "type": "categorical", "choices": ["adam", "sgd"], "role": "scientific"},
        {"name": "learning_rate", "type": "float", "low": 1e-4, "high": 1.0, "scale": "log"},
        {"name": "width", "type": "integer", "low": 16, "high": 512, "scale": "log"},
    ]


def _document(name: str, budget: int, **more: object) -> dict[str, object]:
    objective = {"metric": "valid/error", "direction": "minimize"}
    return {"name": name, "objective": objective, "space": _space(), "budget": {"trials": budget}, **more}


def _hostile() -> dict[str, object]:
    choices = [HOSTILE, "plain", "x" * 150]
    space = [{**_space()[0], "choices": choices}, *_space()[1:]]
    return {**_document(HOSTILE[:150], 30, goal=HOSTILE, note=HOSTILE), "space": space}


def _usual(configuration: Configuration, random: np.random.Generator) -> Training:
    rate = float(configuration["learning_rate"])
    training = learning(0.05 + 0.03 * abs(np.log10(rate) + 2) + 0.01 * random.random(), random)
    return diverging(training, 5_000) if rate > 0.4 else training


def _infeasible(configuration: Configuration, random: np.random.Generator) -> Training:
    return diverging(learning(0.1, random), 2_000)
