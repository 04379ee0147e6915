"""One round: its goal, its studies, and the conclusion from all of them."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import RedirectResponse

from tunebook_server.pages import tracking
from tunebook_server.pages.form import Fields
from tunebook_server.pages.rendering import render
from tunebook_server.pages.route import Database, PageRoute, Person
from tunebook_server.services import conclusions, projects, studies, templates
from tunebook_server.services import rounds as service

router = APIRouter(route_class=PageRoute)

ROWS = 50
COMPARED_MOST = 8
ADDED_MOST = 50
Id = Annotated[int, Path(ge=1, lt=2**63)]
Cursor = Annotated[str | None, Query(max_length=2_000)]


@router.get("/rounds/{round_id}")
def one(request: Request, round_id: Id, engine: Database, _: Person, cursor: Cursor = None) -> Response:
    found = service.get(engine, round_id=round_id)
    page = studies.page(engine, round_id=round_id, limit=ROWS, cursor=cursor)
    commands = templates.page(engine, project_id=found.project_id, limit=1_000).items
    grounds = conclusions.of_round(engine, round_id=round_id)
    compared = [study.id for study in grounds.studies][-COMPARED_MOST:]
    loose = studies.page(engine, project_id=found.project_id, without_round=True, limit=ADDED_MOST)
    return render(
        request,
        "round.html",
        round=found,
        project=projects.get(engine, project_id=found.project_id),
        rows=tracking.rows(engine, page.items, commands),
        next=page.next,
        caveats=grounds.caveats,
        complete=grounds.count == len(grounds.studies),
        considered=conclusions.STUDIES_MOST,
        compared=compared if len(compared) > 1 else [],
        loose=loose.items,
    )


@router.post("/projects/{project_id}/rounds")
def create(project_id: Id, engine: Database, principal: Person, fields: Fields) -> Response:
    principal.require("study:write")
    name, goal = fields.get("name", "").strip(), fields.get("goal", "").strip()
    made = service.create(engine, project_id=project_id, name=name, goal=goal, actor=principal.actor)
    return RedirectResponse(f"/rounds/{made.id}", 303)


@router.post("/rounds/{round_id}")
def edit(round_id: Id, engine: Database, principal: Person, fields: Fields) -> Response:
    principal.require("study:write")
    changes = {name: fields[name].strip() for name in ("name", "goal") if name in fields}
    service.edit(
        engine, round_id=round_id, edition=fields.get("edition"), changes=changes, actor=principal.actor
    )
    return RedirectResponse(f"/rounds/{round_id}", 303)


@router.post("/rounds/{round_id}/studies")
def add(round_id: Id, engine: Database, principal: Person, fields: Fields) -> Response:
    """Takes a study of the project into the round."""
    principal.require("study:write")
    named = fields.get("study", "")
    study_id = int(named) if named.isascii() and named.isdecimal() and len(named) <= 18 else 0
    studies.edit(engine, study_id=study_id, changes={"round": round_id}, actor=principal.actor)
    return RedirectResponse(f"/rounds/{round_id}", 303)


@router.post("/rounds/{round_id}/conclusion")
def conclude(round_id: Id, engine: Database, principal: Person, fields: Fields) -> Response:
    principal.require("study:write")
    changes = {"conclusion": fields.get("conclusion", "")}
    service.edit(
        engine, round_id=round_id, edition=fields.get("edition"), changes=changes, actor=principal.actor
    )
    return RedirectResponse(f"/rounds/{round_id}#conclusion", 303)
