"""Checkpoints that a trial can resume from."""

from fastapi import APIRouter

from tunebook_server.api.access import Database, Reader, Reporter
from tunebook_server.api.route import Route
from tunebook_server.api.schemas import Cursor, Id, Limit, Listing
from tunebook_server.api.schemas.trials import CheckpointIn, CheckpointOut
from tunebook_server.domain.paging import Page
from tunebook_server.domain.trial import Checkpoint
from tunebook_server.services import checkpoints

router = APIRouter(prefix="/trials", tags=["checkpoints"], route_class=Route)


@router.post("/{trial_id}:checkpoint", operation_id="register_checkpoint", response_model=CheckpointOut)
def register(trial_id: Id, body: CheckpointIn, engine: Database, principal: Reporter) -> Checkpoint:
    """Register a complete checkpoint: the next attempt resumes from the newest."""
    principal.require_epoch(body.epoch)
    return checkpoints.register(
        engine, trial_id=trial_id, epoch=body.epoch, step=body.step, uri=body.uri, metric=body.metric
    )


@router.get("/{trial_id}/checkpoints", operation_id="list_checkpoints", response_model=Listing[CheckpointOut])
def page(
    trial_id: Id, engine: Database, _: Reader, limit: Limit = 100, cursor: Cursor = None
) -> Page[Checkpoint]:
    """Registered checkpoints, the newest first."""
    return checkpoints.page(engine, trial_id=trial_id, limit=limit, cursor=cursor)
