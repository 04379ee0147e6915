"""The output of training jobs."""

import binascii
from typing import Annotated

from fastapi import APIRouter, Query

from tunebook_server.api.access import Database, Reader, Reporter
from tunebook_server.api.route import Route
from tunebook_server.api.schemas import INT32_MOST, INT64_MOST, Done, Id
from tunebook_server.api.schemas.trials import LogIn, LogOut
from tunebook_server.domain.errors import Invalid
from tunebook_server.services import logs, trials

router = APIRouter(prefix="/trials", tags=["logs"], route_class=Route)

After = Annotated[int | None, Query(ge=0, le=INT64_MOST, description="The `next_byte` of an earlier answer.")]


@router.post("/{trial_id}:log", operation_id="append_log")
def append(trial_id: Id, body: LogIn, engine: Database, principal: Reporter) -> Done:
    """Append a piece of output; the same piece again changes nothing."""
    principal.require_epoch(body.epoch)
    content = _decoded(body.content_base64)
    logs.append(engine, trial_id=trial_id, epoch=body.epoch, sequence=body.sequence, content=content)
    return Done()


@router.get("/{trial_id}/log", operation_id="get_log")
def tail(
    trial_id: Id,
    engine: Database,
    _: Reader,
    after: After = None,
    epoch: Annotated[int | None, Query(ge=1, le=INT32_MOST)] = None,
    limit_bytes: Annotated[int, Query(ge=1, le=logs.MAX_TAIL_BYTES)] = 65_536,
) -> LogOut:
    """The end of an attempt's output (of the newest, when none is named), or what follows a byte."""
    trials.get(engine, trial_id=trial_id)
    found = logs.tail(engine, trial_id=trial_id, epoch=epoch, after_byte=after, limit_bytes=limit_bytes)
    return LogOut(
        content=found.content.decode("utf-8", "replace"),
        first_byte=found.first_byte,
        next_byte=found.next_byte,
        epoch=found.epoch,
    )


def _decoded(text: str) -> bytes:
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except (binascii.Error, ValueError):
        raise Invalid(
            "content_base64 is not base64", field="content_base64", remedy="Encode the bytes as base64."
        ) from None
