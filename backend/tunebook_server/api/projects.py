"""Projects."""

from fastapi import Response

from tunebook_server.api.access import Database, Reader, Writer
from tunebook_server.api.conditional import IfMatch, etag, revision_of
from tunebook_server.api.route import router_of
from tunebook_server.api.schemas import Cursor, Id, Limit, Listing
from tunebook_server.api.schemas.projects import ProjectChange, ProjectIn, ProjectOut, ProjectRow
from tunebook_server.domain.paging import Page
from tunebook_server.domain.project import Project, ProjectSummary
from tunebook_server.services import projects

router = router_of("projects", prefix="/projects")


@router.get("", operation_id="list_projects", response_model=Listing[ProjectRow])
def page(engine: Database, _: Reader, limit: Limit = 100, cursor: Cursor = None) -> Page[ProjectSummary]:
    """Projects by name, each with its number of studies."""
    return projects.page(engine, limit=limit, cursor=cursor)


@router.post("", operation_id="create_project", status_code=201, response_model=ProjectOut)
def create(body: ProjectIn, engine: Database, principal: Writer) -> Project:
    """Create a project; its name is its own."""
    return projects.create(engine, name=body.name, goal=body.goal, note=body.note, actor=principal.actor)


@router.get("/{project_id}", operation_id="get_project", response_model=ProjectOut)
def get(project_id: Id, response: Response, engine: Database, _: Reader) -> Project:
    """One project."""
    project = projects.get(engine, project_id=project_id)
    response.headers["ETag"] = etag(project.revision)
    return project


@router.patch("/{project_id}", operation_id="edit_project", response_model=ProjectOut)
def edit(
    *,
    project_id: Id,
    body: ProjectChange,
    response: Response,
    engine: Database,
    principal: Writer,
    if_match: IfMatch = None,
) -> Project:
    """Change name, goal, note, weight or limit."""
    project = projects.edit(
        engine,
        project_id=project_id,
        revision=revision_of(if_match),
        changes=body.model_dump(exclude_unset=True),
        actor=principal.actor,
    )
    response.headers["ETag"] = etag(project.revision)
    return project
