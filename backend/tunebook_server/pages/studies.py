"""One study: what it asks, where it stands, its figures, and its best trials."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import RedirectResponse

from tunebook_server import broker
from tunebook_server.domain.caveats import caveats
from tunebook_server.domain.families import families
from tunebook_server.domain.study import Study
from tunebook_server.domain.trial import Trial
from tunebook_server.figures.labels import key_words
from tunebook_server.pages import assets
from tunebook_server.pages.findings import checklist
from tunebook_server.pages.form import Fields, number, whole
from tunebook_server.pages.rendering import address, render
from tunebook_server.pages.route import Database, PageRoute, Person
from tunebook_server.pages.trial_table import Table, best_first, chosen
from tunebook_server.services import curves, findings, lineage, pace, projects, rounds, trials
from tunebook_server.services import studies as service
from tunebook_server.storage.engine import Engine

router = APIRouter(route_class=PageRoute)

BEST_SHOWN = 10
STATES = ("completed", "stopped", "infeasible", "failed", "running", "claimed", "queued")
FAMILIES_MOST = 6
ISOLATIONS_MOST = 3
TURN = {"budget": whole, "parallel": whole, "priority": whole, "weight": number}
BROWSERS_OWN = "selected"  # trials, by id: selection.js reads and writes it, and adds it to every link
Id = Annotated[int, Path(ge=1, lt=2**63)]
Word = Annotated[str, Query(max_length=300)]
Cursor = Annotated[str, Query(max_length=2_000)]


@dataclass(frozen=True, slots=True)
class View:
    """What the address says about this page."""

    query: Mapping[str, str]
    clip: str
    y: str
    family: str
    smooth: str
    values: str


@dataclass(frozen=True, slots=True)
class Plot:
    """One axis plot: its key, its name and conditions, and the addresses of the figure and of its numbers."""

    key: str
    name: str
    condition: str
    src: str
    csv: str


@router.get("/studies/{study_id}")
def study(
    request: Request,
    study_id: Id,
    engine: Database,
    _: Person,
    *,
    clip: Word = "on",
    y: Word = "auto",
    family: Word = "",
    smooth: Word = "8",
    values: Word = "auto",
) -> Response:
    found = service.get(engine, study_id=study_id)
    etag = f'W/"{assets.version()}-{found.id}-{found.revision}-{hash_of(request)}"'
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers={"ETag": etag})
    query = {name: value for name, value in request.query_params.items() if name != BROWSERS_OWN}
    view = View(query, clip, y, family, smooth, values)
    best_trials = trials.page(engine, study_id=found.id, sort=best_first(found), limit=BEST_SHOWN)
    kept = findings.get(engine, study_id=found.id)
    groups = families(curves.metric_names(engine, study_id=found.id), first=found.objective.metric)[
        :FAMILIES_MOST
    ]
    return render(
        request,
        "study.html",
        etag=etag,
        study=found,
        project=projects.get(engine, project_id=found.project_id),
        round=None if found.round_id is None else rounds.get(engine, round_id=found.round_id),
        follows=lineage.followed(engine, study_ids=[found.id])[found.id],
        followers=lineage.followers(engine, study_id=found.id),
        best=best_of(engine, found),
        seconds_left=pace.seconds_left(engine, study=found),
        checklist=checklist(found, kept),
        caveats=caveats(found.space, kept.items if kept else ()),
        states=[(state, found.counts.get(state, 0)) for state in STATES],
        view=view,
        table=Table(
            best_trials.items, chosen(found, ()), best_first(found), {}, path=f"/studies/{found.id}/trials"
        ),
        plots=_plots(found, view),
        curve_families=[
            ("" if not place else family.name, family.name) for place, family in enumerate(groups)
        ],
        curves=_figure(found, "curves", family=family, smooth=smooth, y=values),
        history=_figure(found, "history", clip=clip, y=y),
        isolations=[
            (key_words(key)[0], _figure(found, "isolation", parameter=key, clip=clip, y=y), key)
            for key in map(found.space.key, found.space.varied)
            if found.space.parameter(key).role == "scientific"
        ][:ISOLATIONS_MOST],
        best_of_k=_figure(found, "best-of-k", y=y),
    )


@router.post("/studies/{study_id}/state")
def change_state(study_id: Id, engine: Database, principal: Person, fields: Fields) -> Response:
    principal.require("study:write")
    principal.require("run:launch")
    changes = {"state": fields.get("state", "")}
    service.edit(engine, study_id=study_id, revision=None, changes=changes, actor=principal.actor)
    broker.wake(study_id)
    return RedirectResponse(f"/studies/{study_id}", 303)


@router.post("/studies/{study_id}/turn")
def change_turn(study_id: Id, engine: Database, principal: Person, fields: Fields) -> Response:
    """Its budget, and its share of the workers; what the form leaves empty stays as it is."""
    principal.require("study:write")
    principal.require("run:launch")
    given = {name: fields[name] for name in TURN if fields.get(name, "").strip()}
    changes: dict[str, object] = {name: TURN[name](value, field=name) for name, value in given.items()}
    service.edit(
        engine, study_id=study_id, edition=fields.get("edition"), changes=changes, actor=principal.actor
    )
    broker.wake(study_id)
    return RedirectResponse(f"/studies/{study_id}", 303)


@router.post("/studies/{study_id}/conclusion")
def conclude(study_id: Id, engine: Database, principal: Person, fields: Fields) -> Response:
    principal.require("study:write")
    changes = {"conclusion": fields.get("conclusion", "")}
    service.edit(
        engine, study_id=study_id, edition=fields.get("edition"), changes=changes, actor=principal.actor
    )
    return RedirectResponse(f"/studies/{study_id}#conclusion", 303)


def hash_of(request: Request) -> str:
    """A short word for the query, safe in a header."""
    return assets.short_hash(request.url.query.encode())


def best_of(engine: Engine, found: Study) -> Trial | None:
    return None if found.best_trial_id is None else trials.get(engine, trial_id=found.best_trial_id)


def _plots(found: Study, view: View) -> list[Plot]:
    """An axis plot for every hyperparameter that varies; conditional ones once under each condition."""
    plots = []
    for parameter in found.space.varied:
        key = found.space.key(parameter)
        name, conditions = key_words(key)
        src = _figure(found, "axis", parameter=key, clip=view.clip, y=view.y)
        csv = address(f"/api/v1/studies/{found.id}/data/axis", parameter=key, format="csv")
        plots.append(Plot(key, name, ", ".join(conditions), src, csv))
    return plots


def _figure(found: Study, kind: str, **options: str) -> str:
    """The address of a figure, options at their defaults left out."""
    defaults = {"clip": "on", "y": "auto", "smooth": "0", "family": ""}
    chosen = {name: value for name, value in options.items() if value != defaults.get(name)}
    return address(f"/api/v1/studies/{found.id}/figures/{kind}", **chosen)
