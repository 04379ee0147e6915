"""One trial: what happened in it, and how to run it again."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from tunebook_server import broker
from tunebook_server.domain.curve import CurveSummary
from tunebook_server.domain.families import Family, families
from tunebook_server.domain.study import Study
from tunebook_server.domain.system_metrics import is_system, of_jobs, panels
from tunebook_server.domain.trial import ENDED, HELD, Trial, Value
from tunebook_server.pages import assets
from tunebook_server.pages.form import Fields
from tunebook_server.pages.rendering import address, fragment, render
from tunebook_server.pages.reproduction import reproduce
from tunebook_server.pages.route import Database, PageRoute, Person
from tunebook_server.services import checkpoints, curves, log_view, projects, studies, templates, workers
from tunebook_server.services import trials as service

router = APIRouter(route_class=PageRoute)

CHECKPOINTS = 20
ATTEMPTS_SHOWN = 20
FAMILIES_DRAWN = 12
Id = Annotated[int, Path(ge=1, lt=2**63)]
Word = Annotated[str, Query(max_length=300)]


@dataclass(frozen=True, slots=True)
class Setting:
    """A hyperparameter of the trial, with its role in this study."""

    name: str
    value: Value | None
    role: str
    conditions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plot:
    """The curves of one family of metrics: the address of the figure, and of its numbers."""

    name: str
    src: str
    csv: str


@dataclass(frozen=True, slots=True)
class Usage:
    """What one attempt used of its host: `epochs` have samples, the plots are of `epoch`."""

    epoch: int
    epochs: tuple[int, ...]
    plots: tuple[Plot, ...]


@router.get("/trials/{trial_id}")
def trial(
    request: Request,
    trial_id: Id,
    engine: Database,
    _: Person,
    *,
    smooth: Word = "8",
    x: Word = "linear",
    y: Word = "auto",
    usage: Annotated[int | None, Query(ge=1, lt=2**31)] = None,
) -> Response:
    found = service.get(engine, trial_id=trial_id)
    study = studies.get(engine, study_id=found.study_id)
    query = assets.short_hash(request.url.query.encode())
    etag = f'W/"{assets.version()}-{found.id}-{study.revision}-{query}"'
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers={"ETag": etag})
    attempts = service.attempts(engine, trial_id=trial_id)
    template = None
    if study.job_template_id is not None:
        template = templates.get(engine, template_id=study.job_template_id)
    log = log_view.piece(engine, trial_id=trial_id)
    summaries = curves.summaries(engine, trial_id=trial_id)
    names = {summary.metric for summary in summaries}
    groups = families(of_jobs(names), first=study.objective.metric)[:FAMILIES_DRAWN]
    return render(
        request,
        "trial.html",
        etag=etag,
        trial=found,
        study=study,
        project=projects.get(engine, project_id=study.project_id),
        settings=_settings(study, found),
        attempts=attempts,
        workers=workers.names(engine, {each.worker_id for each in attempts if each.worker_id is not None}),
        checkpoints=checkpoints.page(engine, trial_id=trial_id, limit=CHECKPOINTS),
        summaries=[row for row in _newest(summaries) if not is_system(row.metric)],
        usage=_usage(study, found, summaries, usage),
        plots=[_plot(study, found, family, smooth=smooth, x=x, y=y) for family in groups],
        log=log,
        reproduction=reproduce(found, template, attempts),
        held=found.state in HELD,
        ended=found.state in ENDED,
        now=datetime.now(UTC),
        options={"smooth": smooth, "x": x, "y": y},
        query=dict(request.query_params),
    )


@router.get("/trials/{trial_id}/card")
def card(trial_id: Id, engine: Database, _: Person) -> Response:
    """What a figure shows beside a hovered mark."""
    found = service.get(engine, trial_id=trial_id)
    study = studies.get(engine, study_id=found.study_id)
    return HTMLResponse(fragment("card.html", trial=found, study=study))


@router.post("/trials/{trial_id}/cancel")
def cancel(trial_id: Id, engine: Database, principal: Person) -> Response:
    principal.require("study:write")
    found = service.cancel(engine, trial_id=trial_id, actor=principal.actor)
    broker.wake(found.study_id)
    return RedirectResponse(f"/trials/{trial_id}", 303)


@router.post("/trials/{trial_id}/retry")
def retry(trial_id: Id, engine: Database, principal: Person) -> Response:
    principal.require("study:write")
    principal.require("run:launch")
    found = service.retry(engine, trial_id=trial_id, actor=principal.actor)
    broker.wake(found.study_id)
    return RedirectResponse(f"/trials/{trial_id}", 303)


@router.post("/trials/{trial_id}/note")
def note(trial_id: Id, engine: Database, principal: Person, fields: Fields) -> Response:
    principal.require("study:write")
    service.edit_note(
        engine,
        trial_id=trial_id,
        note=fields.get("note", ""),
        edition=fields.get("edition"),
        actor=principal.actor,
    )
    return RedirectResponse(f"/trials/{trial_id}", 303)


def _settings(study: Study, found: Trial) -> list[Setting]:
    """Every active hyperparameter, the scientific ones first; then values that the space does not know."""
    rows = []
    known = set()
    for parameter in study.space.active(found.parameters):
        conditions = tuple(study.space.key(parameter).split("/")[:-1])
        rows.append(Setting(parameter.name, found.parameters.get(parameter.name), parameter.role, conditions))
        known.add(parameter.name)
    rows.sort(key=lambda row: ("scientific", "nuisance", "fixed").index(row.role))
    return rows + [
        Setting(name, value, "", ()) for name, value in found.parameters.items() if name not in known
    ]


def _newest(summaries: list[CurveSummary]) -> list[CurveSummary]:
    """Of each metric that of its newest attempt."""
    newest = {summary.metric: summary for summary in sorted(summaries, key=lambda summary: summary.epoch)}
    return [newest[metric] for metric in sorted(newest)]


def _usage(study: Study, found: Trial, summaries: list[CurveSummary], epoch: int | None) -> Usage | None:
    """None where nothing was sampled; of an attempt that nobody sampled the newest instead."""
    sampled = [summary for summary in summaries if is_system(summary.metric)]
    epochs = sorted({summary.epoch for summary in sampled}, reverse=True)
    if not epochs:
        return None
    shown = epoch if epoch in epochs else epochs[0]
    path = f"/api/v1/studies/{study.id}"
    plots = []
    for panel in panels(summary.metric for summary in sampled if summary.epoch == shown):
        query: dict[str, str | int] = {"trial": found.id, "panel": panel.name, "epoch": shown}
        figure, table = (address(f"{path}/{part}/system", **query) for part in ("figures", "data"))
        plots.append(Plot(panel.title, figure, f"{table}&format=csv"))
    return Usage(shown, tuple(epochs[:ATTEMPTS_SHOWN]), tuple(plots))


def _plot(study: Study, found: Trial, family: Family, **options: str) -> Plot:
    defaults = {"smooth": "0", "x": "linear", "y": "auto"}
    chosen = {name: value for name, value in options.items() if value != defaults[name]}
    path = f"/api/v1/studies/{study.id}"
    shown = {"trial": str(found.id), "family": family.name}
    return Plot(
        family.name,
        address(f"{path}/figures/trial-curves", **shown, **chosen),
        address(f"{path}/data/trial-curves", **shown, format="csv"),
    )
