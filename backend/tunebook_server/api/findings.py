"""What the checklist says of a study."""

from fastapi import Request, Response

from tunebook_server.api.access import Database, Reader
from tunebook_server.api.conditional import NOT_MODIFIED, etag, is_known, not_modified
from tunebook_server.api.route import router_of
from tunebook_server.api.schemas import Id
from tunebook_server.api.schemas.findings import FindingsOut
from tunebook_server.services import findings

router = router_of("findings", prefix="/studies/{study_id}")


@router.get("/findings", operation_id="list_findings", response_model=FindingsOut, responses=NOT_MODIFIED)
def page(study_id: Id, request: Request, response: Response, engine: Database, _: Reader) -> object:
    """The findings of a study and the revision they rest on; computed in the background as data arrives."""
    kept = findings.get(engine, study_id=study_id)
    if kept is None:
        return FindingsOut(revision=None, computed_at=None, items=[])
    tag = etag(kept.revision, kept.computed_at.isoformat())
    if is_known(request, tag):
        return not_modified(tag)
    response.headers["ETag"] = tag
    return kept
