"""All projects, and one project with its tracking table."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import RedirectResponse

from tunebook_server.domain.round import Round
from tunebook_server.pages import tracking
from tunebook_server.pages.form import Fields, number, whole
from tunebook_server.pages.rendering import render
from tunebook_server.pages.route import Database, PageRoute, Person
from tunebook_server.pages.tracking import StudyRow
from tunebook_server.services import projects as service
from tunebook_server.services import rounds, studies, templates

router = APIRouter(route_class=PageRoute)

ROWS = 50
ROUNDS = 20
STUDIES_OF_A_ROUND = 10  # the others stand on its page
Id = Annotated[int, Path(ge=1, lt=2**63)]
Cursor = Annotated[str | None, Query(max_length=2_000)]
OlderRounds = Annotated[str | None, Query(alias="rounds", max_length=2_000)]


@dataclass(frozen=True, slots=True)
class Group:
    """A round with the lines of its newest studies, of `studies` in all; None for those without a round."""

    round: Round | None
    rows: Sequence[StudyRow]
    studies: int


@router.get("/")
def index(request: Request, engine: Database, _: Person, cursor: Cursor = None) -> Response:
    found = service.page(engine, limit=ROWS, cursor=cursor)
    return render(request, "projects.html", page=found)


@router.post("/projects")
def create(engine: Database, principal: Person, fields: Fields) -> Response:
    principal.require("study:write")
    made = service.create(
        engine,
        name=fields.get("name", "").strip(),
        goal=fields.get("goal", "").strip(),
        actor=principal.actor,
    )
    return RedirectResponse(f"/projects/{made.id}", 303)


@router.get("/projects/{project_id}")
def project(
    request: Request,
    project_id: Id,
    engine: Database,
    _: Person,
    *,
    cursor: Cursor = None,
    older: OlderRounds = None,
) -> Response:
    found = service.get(engine, project_id=project_id)
    made = rounds.page(engine, project_id=project_id, limit=ROUNDS, cursor=older)
    page = studies.page(engine, project_id=project_id, without_round=True, limit=ROWS, cursor=cursor)
    newest = studies.of_rounds(
        engine, round_ids=[row.round.id for row in made.items], each=STUDIES_OF_A_ROUND
    )
    commands = templates.page(engine, project_id=project_id, limit=1_000).items
    shown = [*(study for found in newest.values() for study in found), *page.items]
    rows = {row.study.id: row for row in tracking.rows(engine, shown, commands)}
    groups = [
        Group(row.round, [rows[study.id] for study in newest[row.round.id]], row.studies)
        for row in made.items
    ]
    rest = Group(None, [rows[study.id] for study in page.items], len(page.items))
    return render(
        request,
        "project.html",
        project=found,
        groups=[*groups, rest],
        older_rounds=made.next,
        next=page.next,
        templates=commands,
    )


@router.post("/projects/{project_id}")
def edit(project_id: Id, engine: Database, principal: Person, fields: Fields) -> Response:
    principal.require("study:write")
    changes: dict[str, object] = {name: fields[name] for name in ("goal", "note") if name in fields}
    if fields.get("weight", "").strip():
        changes["weight"] = number(fields["weight"], field="weight")
    if "parallel" in fields:
        limit = fields["parallel"].strip()
        changes["parallel"] = whole(limit, field="parallel") if limit else None
    revision = int(fields["revision"]) if fields.get("revision", "").isdecimal() else None
    service.edit(engine, project_id=project_id, revision=revision, changes=changes, actor=principal.actor)
    return RedirectResponse(f"/projects/{project_id}", 303)
