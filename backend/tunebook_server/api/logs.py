"""The output of training jobs."""

import binascii
from typing import Annotated

from fastapi import Query
from fastapi.responses import StreamingResponse

from tunebook_server.api.access import Database, Reader, Reporter
from tunebook_server.api.route import router_of
from tunebook_server.api.schemas import INT32_MOST, INT64_MOST, Done, Id, Word
from tunebook_server.api.schemas.trials import LogIn, LogMatchOut, LogOut, LogSearchOut
from tunebook_server.domain.errors import Invalid
from tunebook_server.services import log_view, logs, trials
from tunebook_server.services.log_view import LogMatch

router = router_of("logs", prefix="/trials")

After = Annotated[int | None, Query(ge=0, le=INT64_MOST, description="The `next_byte` of an earlier answer.")]
Before = Annotated[
    int | None, Query(ge=0, le=INT64_MOST, description="The `first_byte` of an earlier answer.")
]
Epoch = Annotated[
    int | None, Query(ge=1, le=INT32_MOST, description="The attempt; left out, the newest with output.")
]
Words = Annotated[Word, Query(min_length=1, max_length=log_view.WORDS_LONGEST, examples=["nan"])]


@router.post("/{trial_id}:log", operation_id="append_log")
def append(trial_id: Id, body: LogIn, engine: Database, principal: Reporter) -> Done:
    """Append a piece of output; the same piece again changes nothing."""
    principal.require_epoch(body.epoch)
    content = _decoded(body.content_base64)
    logs.append(engine, trial_id=trial_id, epoch=body.epoch, sequence=body.sequence, content=content)
    return Done()


@router.get("/{trial_id}/log", operation_id="get_log")
def tail(
    *,
    trial_id: Id,
    engine: Database,
    _: Reader,
    after: After = None,
    before: Before = None,
    epoch: Epoch = None,
    limit_bytes: Annotated[int, Query(ge=1, le=logs.MAX_TAIL_BYTES)] = 65_536,
    plain: Annotated[bool, Query(description="Without escape sequences; control characters shown.")] = False,
) -> LogOut:
    """The end of an attempt's output, or what follows, or comes before, a byte."""
    trials.get(engine, trial_id=trial_id)
    if plain:
        piece = log_view.piece(
            engine,
            trial_id=trial_id,
            epoch=epoch,
            after_byte=after,
            before_byte=before,
            limit_bytes=limit_bytes,
        )
        return _out(piece.text, piece)
    found = logs.tail(
        engine, trial_id=trial_id, epoch=epoch, after_byte=after, before_byte=before, limit_bytes=limit_bytes
    )
    return _out(found.content.decode("utf-8", "replace"), found)


@router.get("/{trial_id}/log/search", operation_id="search_log")
def search(
    *,
    trial_id: Id,
    text: Words,
    engine: Database,
    _: Reader,
    after: After = None,
    before: Before = None,
    epoch: Epoch = None,
) -> LogSearchOut:
    """The first place of a text that starts at byte `after` or later, or the last one that starts before byte
    `before`, in upper or lower case."""
    trials.get(engine, trial_id=trial_id)
    found = log_view.search(
        engine, trial_id=trial_id, words=text, epoch=epoch, after_byte=after, before_byte=before
    )
    return LogSearchOut(
        match=None if found.match is None else _match(found.match),
        scanned_to=found.scanned_to,
        complete=found.complete,
        epoch=found.epoch,
        size_bytes=found.size_bytes,
    )


@router.get(
    "/{trial_id}/log.txt",
    operation_id="download_log",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def download(trial_id: Id, engine: Database, _: Reader, epoch: Epoch = None) -> StreamingResponse:
    """The whole output of an attempt as a file, byte by byte as it was printed."""
    trials.get(engine, trial_id=trial_id)
    found, content = logs.whole(engine, trial_id=trial_id, epoch=epoch)
    headers = {"Content-Disposition": f'attachment; filename="trial-{trial_id}-attempt-{found}.log"'}
    return StreamingResponse(content, media_type="text/plain; charset=utf-8", headers=headers)


def _out(content: str, found: logs.LogTail | log_view.LogPiece) -> LogOut:
    return LogOut(
        content=content,
        first_byte=found.first_byte,
        next_byte=found.next_byte,
        epoch=found.epoch,
        size_bytes=found.size_bytes,
        at_end=found.at_end,
    )


def _match(found: LogMatch) -> LogMatchOut:
    return LogMatchOut(
        first_byte=found.first_byte,
        next_byte=found.next_byte,
        before=found.before.text,
        text=found.text,
        after=found.after.text,
    )


def _decoded(text: str) -> bytes:
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except (binascii.Error, ValueError):
        raise Invalid(
            "content_base64 is not base64", field="content_base64", remedy="Encode the bytes as base64."
        ) from None
