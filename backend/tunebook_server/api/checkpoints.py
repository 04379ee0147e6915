"""Checkpoints that a trial can resume from."""

from typing import Any

from tunebook_server.api.access import Database, Reader, Reporter
from tunebook_server.api.route import router_of
from tunebook_server.api.schemas import Cursor, Id, Limit, Listing
from tunebook_server.api.schemas.checkpoints import (
    CheckpointIn,
    CheckpointOut,
    CheckpointRowOut,
    RegisteredOut,
)
from tunebook_server.domain.paging import Page
from tunebook_server.services import checkpoints
from tunebook_server.services.checkpoints import CheckpointRow

router = router_of("checkpoints", prefix="/trials")


@router.post("/{trial_id}:checkpoint", operation_id="register_checkpoint", response_model=RegisteredOut)
def register(trial_id: Id, body: CheckpointIn, engine: Database, principal: Reporter) -> dict[str, Any]:
    """Register a complete checkpoint: the next attempt resumes from the newest. The answer names those of
    this attempt that the study's policy gives up."""
    principal.require_epoch(body.epoch)
    metric = None if body.metric is None else float(body.metric)
    found = checkpoints.register(engine, trial_id=trial_id, **{**body.model_dump(), "metric": metric})
    registered = {name: getattr(found, name) for name in CheckpointOut.model_fields}
    return {**registered, "given_up": checkpoints.given_up(engine, trial_id=trial_id, epoch=body.epoch)}


@router.get(
    "/{trial_id}/checkpoints", operation_id="list_checkpoints", response_model=Listing[CheckpointRowOut]
)
def page(
    trial_id: Id, engine: Database, _: Reader, limit: Limit = 100, cursor: Cursor = None
) -> Page[CheckpointRow]:
    """Registered checkpoints, the newest first, each with what becomes of it and why."""
    return checkpoints.page(engine, trial_id=trial_id, limit=limit, cursor=cursor)
