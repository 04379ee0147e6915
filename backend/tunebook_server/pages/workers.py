"""The hosts: what runs where, and what waits."""

from fastapi import APIRouter, Request, Response

from tunebook_server.pages.projects import Cursor
from tunebook_server.pages.rendering import render
from tunebook_server.pages.route import Database, PageRoute, Person
from tunebook_server.services import studies
from tunebook_server.services import workers as service

router = APIRouter(route_class=PageRoute)

ROWS = 100
SILENT_AFTER_BEATS = 3


@router.get("/workers")
def workers(request: Request, engine: Database, _: Person, cursor: Cursor = None) -> Response:
    page = service.page(engine, limit=ROWS, cursor=cursor)
    running = studies.page(engine, state="running", limit=ROWS).items
    names = {study.id: study.name for study in running}
    for row in page.items:
        for trial in row.trials:
            if trial.study_id not in names:
                names[trial.study_id] = studies.get(engine, study_id=trial.study_id).name
    return render(
        request,
        "workers.html",
        page=page,
        names=names,
        waiting=[study for study in running if study.counts.get("queued", 0)],
        queued=sum(study.counts.get("queued", 0) for study in running),
        address_of_server=request.app.state.settings.address,
        silent_seconds=SILENT_AFTER_BEATS * request.app.state.settings.beat_seconds,
    )
