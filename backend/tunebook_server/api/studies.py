"""Studies."""

from typing import Annotated, Any, Literal

from fastapi import BackgroundTasks, Body, Query, Request, Response
from pydantic import WithJsonSchema

from tunebook_server import broker
from tunebook_server.api.access import Database, Reader, Writer
from tunebook_server.api.conditional import NOT_MODIFIED, IfMatch, edition_of, etag, is_known, not_modified
from tunebook_server.api.route import router_of
from tunebook_server.api.schemas import INT64_MOST, Cursor, Id, Limit, Listing, Word
from tunebook_server.api.schemas.follow_ups import FollowUpIn, FollowUpOut
from tunebook_server.api.schemas.studies import (
    EXAMPLE,
    LintOut,
    PreviewIn,
    PreviewOut,
    StudyChange,
    StudyOut,
)
from tunebook_server.domain import changes
from tunebook_server.domain.changes_applied import applied
from tunebook_server.domain.errors import Fault, Invalid
from tunebook_server.domain.lint import Advice, lint
from tunebook_server.domain.paging import Page
from tunebook_server.domain.study import Study, StudyDesign
from tunebook_server.services import follow_ups, studies

router = router_of("studies")

LAUNCHING = frozenset({"state", "budget", "parallel"})
"""Changes that can start jobs."""
Document = Annotated[
    dict[str, Any],
    Body(openapi_examples={"optimizer": {"value": EXAMPLE}}),
    WithJsonSchema({"$ref": "#/components/schemas/StudyDocument"}),
]
ProjectFilter = Annotated[int | None, Query(alias="project", ge=1, le=INT64_MOST)]
RoundFilter = Annotated[int | None, Query(alias="round", ge=1, le=INT64_MOST)]
NameFilter = Annotated[Word | None, Query(min_length=1, max_length=200)]
StateFilter = Literal["running", "paused", "finished"] | None


@router.get("/studies", operation_id="list_studies", response_model=Listing[StudyOut])
def page(
    *,
    engine: Database,
    _: Reader,
    project_id: ProjectFilter = None,
    name: NameFilter = None,
    state: StateFilter = None,
    round_id: RoundFilter = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[Study]:
    """Studies of all projects, the newest first."""
    return studies.page(
        engine,
        project_id=project_id,
        name=name,
        state=state,
        round_id=round_id,
        limit=limit,
        cursor=cursor,
    )


@router.get(
    "/projects/{project_id}/studies", operation_id="list_project_studies", response_model=Listing[StudyOut]
)
def page_of_project(
    *,
    project_id: Id,
    engine: Database,
    _: Reader,
    name: NameFilter = None,
    state: StateFilter = None,
    round_id: RoundFilter = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[Study]:
    """Studies of a project, the newest first."""
    return studies.page(
        engine,
        project_id=project_id,
        name=name,
        state=state,
        round_id=round_id,
        limit=limit,
        cursor=cursor,
    )


@router.post(
    "/projects/{project_id}/studies", operation_id="create_study", status_code=201, response_model=StudyOut
)
def create(
    *,
    project_id: Id,
    document: Document,
    response: Response,
    after: BackgroundTasks,
    engine: Database,
    principal: Writer,
) -> Study:
    """Create a study from its document and start it."""
    design = StudyDesign.parse(document)
    if design.template is not None:
        principal.require("run:launch")
    study = studies.create(engine, project_id=project_id, design=design, actor=principal.actor)
    response.headers["ETag"] = _etag(study)
    after.add_task(broker.wake, study.id)
    return study


@router.post("/studies:preview", operation_id="preview_study", response_model=PreviewOut)
def preview(body: PreviewIn, _: Reader) -> dict[str, object]:
    """What a document says, without creating anything: its first configurations, or its faults."""
    found: tuple[Fault, ...] = ()
    try:
        design = StudyDesign.parse(body.document)
        configurations = studies.preview(design, body.count)
    except Invalid as invalid:
        found = invalid.faults
        return {"configurations": [], "faults": found, "warnings": []}
    return {"configurations": configurations, "faults": found, "warnings": design.warnings()}


@router.post("/studies:lint", operation_id="lint_study", response_model=LintOut)
def advise(*, document: Document, _: Reader) -> dict[str, object]:
    """What is worth changing in a design before it starts, with reasons and mends; it blocks nothing."""
    design = StudyDesign.parse(document)
    return {"items": [_advice(design, advice) for advice in lint(design)]}


@router.post("/studies/{study_id}:followup", operation_id="draft_follow_up_study", response_model=FollowUpOut)
def follow_up(study_id: Id, body: FollowUpIn, engine: Database, _: Reader) -> dict[str, object]:
    """Draft the study that follows this one, with changes to its design; creates nothing."""
    drafted = follow_ups.draft(engine, study_id=study_id, changes=changes.parse(body.changes))
    return {"document": drafted.design.document(), "difference": drafted.difference}


@router.get("/studies/{study_id}", operation_id="get_study", responses=NOT_MODIFIED, response_model=StudyOut)
def get(study_id: Id, request: Request, response: Response, engine: Database, _: Reader) -> Study | Response:
    """One study, with its number of trials by state."""
    study = studies.get(engine, study_id=study_id)
    tag = _etag(study)
    if is_known(request, tag):
        return not_modified(tag)
    response.headers["ETag"] = tag
    return study


@router.patch("/studies/{study_id}", operation_id="edit_study", response_model=StudyOut)
def edit(
    *,
    study_id: Id,
    body: StudyChange,
    response: Response,
    after: BackgroundTasks,
    engine: Database,
    principal: Writer,
    if_match: IfMatch = None,
) -> Study:
    """Change texts, round, state, budget, parallel, checks, checkpoints or the ranges of the space; a raised
    budget or a resumed study starts trials."""
    edits = body.model_dump(exclude_unset=True)
    if LAUNCHING & edits.keys():
        principal.require("run:launch")
    study = studies.edit(
        engine, study_id=study_id, edition=edition_of(if_match), changes=edits, actor=principal.actor
    )
    response.headers["ETag"] = _etag(study)
    after.add_task(broker.wake, study_id)
    return study


def _advice(design: StudyDesign, advice: Advice) -> dict[str, object]:
    mend = None
    if advice.changes:
        document = applied(design, advice.changes).document()
        mend = {"title": advice.title, "changes": changes.document(advice.changes), "document": document}
    return {
        "rule": advice.rule,
        "sentence": advice.sentence,
        "reason": advice.reason,
        "source": advice.source,
        "field": advice.field,
        "mend": mend,
    }


def _etag(study: Study) -> str:
    return etag(study.revision, study.edition)
