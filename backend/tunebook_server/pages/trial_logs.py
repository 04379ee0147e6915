"""The log of an attempt: a piece of it, or the place of some words; the address says which."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from tunebook_server.domain.trial import HELD, Attempt, Trial
from tunebook_server.pages.rendering import render
from tunebook_server.pages.route import Database, PageRoute, Person
from tunebook_server.services import log_view, projects, studies
from tunebook_server.services import trials as service
from tunebook_server.services.log_view import LogPiece, Searched
from tunebook_server.storage.engine import Engine

router = APIRouter(route_class=PageRoute)

ATTEMPTS = 20
Id = Annotated[int, Path(ge=1, lt=2**63)]
Byte = Annotated[int | None, Query(ge=0, lt=2**63)]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the address asks for: bytes, and words whose place is wanted from there on (or before there)."""

    epoch: int | None
    words: str
    after: int | None
    before: int | None


@router.get("/trials/{trial_id}/log")
def log(
    *,
    request: Request,
    trial_id: Id,
    engine: Database,
    _: Person,
    epoch: Annotated[int | None, Query(ge=1, lt=2**31)] = None,
    q: Annotated[str, Query(max_length=log_view.WORDS_LONGEST)] = "",
    after: Byte = None,
    before: Byte = None,
) -> Response:
    found = service.get(engine, trial_id=trial_id)
    study = studies.get(engine, study_id=found.study_id)
    searched, piece = _read(engine, trial_id, Wanted(epoch, q, after, before))
    shown = searched or piece
    assert shown is not None
    return render(
        request,
        "log.html",
        trial=found,
        study=study,
        project=projects.get(engine, project_id=study.project_id),
        attempts=_chosen(service.attempts(engine, trial_id=trial_id), shown.epoch),
        words=q,
        searched=searched,
        piece=piece,
        epoch=shown.epoch,
        size_bytes=shown.size_bytes,
        live=_lives(found, shown.epoch),
        pinned=epoch is not None,
        after=after,
        before=before,
    )


def _read(engine: Engine, trial_id: int, wanted: Wanted) -> tuple[Searched | None, LogPiece | None]:
    """Of a search its place; where there is none, or nothing is searched for, a piece."""
    searched = None
    after, before = wanted.after, wanted.before
    if wanted.words:
        searched = log_view.search(
            engine,
            trial_id=trial_id,
            words=wanted.words,
            epoch=wanted.epoch,
            after_byte=after,
            before_byte=before,
        )
        if searched.match is not None:
            return searched, None
        after = before = None
    piece = log_view.piece(
        engine, trial_id=trial_id, epoch=wanted.epoch, after_byte=after, before_byte=before
    )
    return searched, piece


def _lives(found: Trial, epoch: int) -> bool:
    """Whether more may be printed: the newest attempt, or the first, whose output is still to come."""
    return found.state in HELD and epoch in (0, found.epoch)


def _chosen(attempts: list[Attempt], epoch: int) -> list[Attempt]:
    """Those that the chooser offers, the newest first."""
    newest = attempts[::-1]
    return newest[:ATTEMPTS] + [each for each in newest[ATTEMPTS:] if each.epoch == epoch]
