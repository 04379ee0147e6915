"""Job templates: what may be launched."""

from typing import Annotated

from fastapi import Depends

from tunebook_server.api.access import Database, Reader, person
from tunebook_server.api.route import router_of
from tunebook_server.api.schemas import Cursor, Id, Limit, Listing
from tunebook_server.api.schemas.projects import JobTemplateIn, JobTemplateOut
from tunebook_server.domain.access import Principal
from tunebook_server.domain.paging import Page
from tunebook_server.domain.project import JobTemplate
from tunebook_server.services import templates

router = router_of("job templates")

Registrar = Annotated[Principal, Depends(person("template:admin"))]


@router.get(
    "/projects/{project_id}/job-templates",
    operation_id="list_job_templates",
    response_model=Listing[JobTemplateOut],
)
def page(
    project_id: Id, engine: Database, _: Reader, limit: Limit = 100, cursor: Cursor = None
) -> Page[JobTemplate]:
    """Job templates of a project, by name and version."""
    return templates.page(engine, project_id=project_id, limit=limit, cursor=cursor)


@router.post(
    "/projects/{project_id}/job-templates",
    operation_id="register_job_template",
    status_code=201,
    response_model=JobTemplateOut,
)
def register(project_id: Id, body: JobTemplateIn, engine: Database, principal: Registrar) -> JobTemplate:
    """Register a command. The same content again is the same version, other content the next one."""
    return templates.register(
        engine,
        project_id=project_id,
        name=body.name,
        argv=body.argv,
        folder=body.folder,
        environment=body.environment,
        resources=body.resources,
        processes=body.processes,
        silence_seconds=body.silence_seconds,
        limit_seconds=body.limit_seconds,
        actor=principal.actor,
    )


@router.get("/job-templates/{template_id}", operation_id="get_job_template", response_model=JobTemplateOut)
def get(template_id: Id, engine: Database, _: Reader) -> JobTemplate:
    """One version of a job template."""
    return templates.get(engine, template_id=template_id)
