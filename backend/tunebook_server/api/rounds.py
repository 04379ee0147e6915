"""Rounds."""

from fastapi import Request, Response

from tunebook_server.api.access import Database, Reader, Writer
from tunebook_server.api.conditional import NOT_MODIFIED, IfMatch, edition_of, etag, is_known, not_modified
from tunebook_server.api.route import router_of
from tunebook_server.api.schemas import Cursor, Id, Limit, Listing
from tunebook_server.api.schemas.rounds import RoundChange, RoundIn, RoundOut, RoundRow
from tunebook_server.api.studies import NameFilter, ProjectFilter
from tunebook_server.domain.paging import Page
from tunebook_server.domain.round import Round, RoundSummary
from tunebook_server.services import rounds

router = router_of("rounds")


@router.get("/rounds", operation_id="list_rounds", response_model=Listing[RoundRow])
def page(
    *,
    engine: Database,
    _: Reader,
    project_id: ProjectFilter = None,
    name: NameFilter = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[RoundSummary]:
    """Rounds of all projects, the newest first, each with its number of studies."""
    return rounds.page(engine, project_id=project_id, name=name, limit=limit, cursor=cursor)


@router.get(
    "/projects/{project_id}/rounds", operation_id="list_project_rounds", response_model=Listing[RoundRow]
)
def page_of_project(
    *,
    project_id: Id,
    engine: Database,
    _: Reader,
    name: NameFilter = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[RoundSummary]:
    """Rounds of a project, the newest first, each with its number of studies."""
    return rounds.page(engine, project_id=project_id, name=name, limit=limit, cursor=cursor)


@router.post(
    "/projects/{project_id}/rounds", operation_id="create_round", status_code=201, response_model=RoundOut
)
def create(project_id: Id, body: RoundIn, response: Response, engine: Database, principal: Writer) -> Round:
    """Create a round; its name is its own in the project."""
    made = rounds.create(engine, project_id=project_id, name=body.name, goal=body.goal, actor=principal.actor)
    response.headers["ETag"] = _etag(made)
    return made


@router.get("/rounds/{round_id}", operation_id="get_round", responses=NOT_MODIFIED, response_model=RoundOut)
def get(round_id: Id, request: Request, response: Response, engine: Database, _: Reader) -> Round | Response:
    """One round."""
    found = rounds.get(engine, round_id=round_id)
    tag = _etag(found)
    if is_known(request, tag):
        return not_modified(tag)
    response.headers["ETag"] = tag
    return found


@router.patch("/rounds/{round_id}", operation_id="edit_round", response_model=RoundOut)
def edit(
    *,
    round_id: Id,
    body: RoundChange,
    response: Response,
    engine: Database,
    principal: Writer,
    if_match: IfMatch = None,
) -> Round:
    """Change name, goal or conclusion."""
    found = rounds.edit(
        engine,
        round_id=round_id,
        edition=edition_of(if_match),
        changes=body.model_dump(exclude_unset=True),
        actor=principal.actor,
    )
    response.headers["ETag"] = _etag(found)
    return found


def _etag(found: Round) -> str:
    return etag(found.revision, found.edition)
