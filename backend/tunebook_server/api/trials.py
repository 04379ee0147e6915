"""Trials as people see and steer them."""

from typing import Annotated

from fastapi import BackgroundTasks, Depends, Query, Request, Response

from tunebook_server import broker
from tunebook_server.api.access import Asker, Database, Reader, Writer, person
from tunebook_server.api.asking import Asking
from tunebook_server.api.conditional import NOT_MODIFIED, IfMatch, edition_of, etag, is_known, not_modified
from tunebook_server.api.route import answers_secret, router_of
from tunebook_server.api.schemas import Cursor, Filter, Id, Limit, Listing, Word
from tunebook_server.api.schemas.trials import (
    AskIn,
    AskOut,
    Nothing,
    States,
    TrialChange,
    TrialIn,
    TrialOut,
    TrialRowOut,
)
from tunebook_server.domain.access import Principal
from tunebook_server.domain.edition import edition
from tunebook_server.domain.paging import Page
from tunebook_server.domain.trial import Trial
from tunebook_server.services import trials
from tunebook_server.services.asks import Ask
from tunebook_server.services.trial_pages import TrialRow

router = router_of("trials")

Launcher = Annotated[Principal, Depends(person("study:write", "run:launch"))]


@router.get("/studies/{study_id}/trials", operation_id="list_trials", response_model=Listing[TrialRowOut])
def page(
    *,
    study_id: Id,
    engine: Database,
    _: Reader,
    state: States = [],  # noqa: B006 (FastAPI copies it)
    sort: Annotated[Word, Query(max_length=500, examples=["-objective", "parameters.lr"])] = "-number",
    expression: Filter = "",
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[TrialRow]:
    """Trials of a study. `sort`: a column, parameters.KEY or last.METRIC; "-" in front turns it round."""
    return trials.page(
        engine,
        study_id=study_id,
        states=state,
        sort=sort,
        expression=expression,
        limit=limit,
        cursor=cursor,
    )


@router.post(
    "/studies/{study_id}/trials", operation_id="enqueue_trial", status_code=201, response_model=TrialOut
)
def enqueue(
    study_id: Id, body: TrialIn, after: BackgroundTasks, engine: Database, principal: Launcher
) -> Trial:
    """Queue one trial with these parameters, or with the sampler's next ones."""
    trial = trials.enqueue(engine, study_id=study_id, parameters=body.parameters, actor=principal.actor)
    after.add_task(broker.wake, study_id)
    return trial


@router.post("/studies/{study_id}/trials:ask", operation_id="ask", response_model=AskOut)
@answers_secret
async def ask(study_id: Id, body: AskIn, request: Request, principal: Asker) -> Response:
    """Trials for a loop of one's own, each with the token to report it."""
    asking: Asking = request.app.state.asking
    asked = Ask.of(client_id=body.client_id, count=body.count, host=body.host, actor=principal.actor)
    return Response(await asking.ask(study_id, asked), media_type="application/json")


@router.get("/trials/{trial_id}", operation_id="get_trial", responses=NOT_MODIFIED, response_model=TrialOut)
def get(trial_id: Id, request: Request, response: Response, engine: Database, _: Reader) -> Trial | Response:
    """One trial."""
    trial = trials.get(engine, trial_id=trial_id)
    tag = _etag(trial)
    if is_known(request, tag):
        return not_modified(tag)
    response.headers["ETag"] = tag
    return trial


@router.patch("/trials/{trial_id}", operation_id="edit_trial", response_model=TrialOut)
def edit(
    *,
    trial_id: Id,
    body: TrialChange,
    response: Response,
    engine: Database,
    principal: Writer,
    if_match: IfMatch = None,
) -> Trial:
    """Change the note."""
    trial = trials.edit_note(
        engine, trial_id=trial_id, note=body.note, edition=edition_of(if_match), actor=principal.actor
    )
    response.headers["ETag"] = _etag(trial)
    return trial


@router.post("/trials/{trial_id}:cancel", operation_id="cancel_trial", response_model=TrialOut)
def cancel(trial_id: Id, _: Nothing, after: BackgroundTasks, engine: Database, principal: Writer) -> Trial:
    """A queued trial stops at once; a running one is told with its next heartbeat."""
    trial = trials.cancel(engine, trial_id=trial_id, actor=principal.actor)
    after.add_task(broker.wake, trial.study_id)
    return trial


@router.post("/trials/{trial_id}:retry", operation_id="retry_trial", response_model=TrialOut)
def retry(trial_id: Id, _: Nothing, after: BackgroundTasks, engine: Database, principal: Launcher) -> Trial:
    """Give a failed trial one more attempt."""
    trial = trials.retry(engine, trial_id=trial_id, actor=principal.actor)
    after.add_task(broker.wake, trial.study_id)
    return trial


def _etag(trial: Trial) -> str:
    return etag(edition(repr(trial)), trial.edition)
