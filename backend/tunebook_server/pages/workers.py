"""The hosts: what runs where, what waits, and what ran in the last hours."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import RedirectResponse

from tunebook_server.domain.paging import Page
from tunebook_server.domain.worker import WorkerRow, WorkerState
from tunebook_server.pages.projects import Cursor
from tunebook_server.pages.rendering import address, render
from tunebook_server.pages.route import Database, PageRoute, Person
from tunebook_server.services import studies, timelines
from tunebook_server.services import workers as service
from tunebook_server.storage.engine import Engine

router = APIRouter(route_class=PageRoute)

ROWS = 100
WINDOWS = ((1, "1 hour"), (6, "6 hours"), (24, "1 day"), (72, "3 days"), (168, "1 week"))
THERE = (WorkerState.ALIVE, WorkerState.DRAINING)
Id = Annotated[int, Path(ge=1, lt=2**63)]
Hours = Annotated[int, Query(ge=1, le=timelines.HOURS_MOST)]


@router.get("/workers")
def workers(
    request: Request, engine: Database, _: Person, cursor: Cursor = None, hours: Hours = timelines.HOURS
) -> Response:
    page = service.page(engine, limit=ROWS, cursor=cursor)
    running = studies.page(engine, state="running", limit=ROWS).items
    counts = service.counts(engine)
    silent_after = service.silent_after_seconds()
    states = {row.worker.id: row.state(silent_after_seconds=silent_after) for row in page.items}
    return render(
        request,
        "workers.html",
        page=page,
        states=states,
        taken=sum(len(row.trials) for row in page.items if states[row.worker.id] in THERE),
        names={study.id: study.name for study in running} | _names(engine, page),
        gpus=service.gpus(engine, [trial.id for row in page.items for trial in row.trials]),
        counts={count.state.value: count.workers for count in counts},
        slots=sum(count.slots for count in counts if count.state in THERE),
        waiting=[study for study in running if study.counts.get("queued", 0)],
        queued=sum(study.counts.get("queued", 0) for study in running),
        address_of_server=request.app.state.settings.address,
        timeline=address("/api/v1/figures/timeline", hours=hours),
        numbers=address("/api/v1/data/timeline", hours=hours, format="csv"),
        windows=[(str(each), words) for each, words in WINDOWS],
        hours=str(hours),
        query=dict(request.query_params),
    )


@router.post("/workers/{worker_id}/drain")
def drain(worker_id: Id, engine: Database, principal: Person) -> Response:
    principal.require("run:launch")
    service.drain(engine, worker_id=worker_id, actor=principal.actor)
    return RedirectResponse("/workers", 303)


@router.post("/workers/{worker_id}/undrain")
def undrain(worker_id: Id, engine: Database, principal: Person) -> Response:
    principal.require("run:launch")
    service.undrain(engine, worker_id=worker_id, actor=principal.actor)
    return RedirectResponse("/workers", 303)


def _names(engine: Engine, page: Page[WorkerRow]) -> dict[int, str]:
    """Of the studies of what runs, those that were paused meanwhile among them."""
    ids = {trial.study_id for row in page.items for trial in row.trials}
    return {study_id: studies.get(engine, study_id=study_id).name for study_id in sorted(ids)}
