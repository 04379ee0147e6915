"""Workers: the hosts that train."""

from typing import Annotated

from fastapi import Depends

from tunebook_server.api.access import Database, Reader, WorkerItself, person
from tunebook_server.api.route import answers_secret, router_of
from tunebook_server.api.schemas import Cursor, Id, Limit, Listing
from tunebook_server.api.schemas.trials import Nothing
from tunebook_server.api.schemas.workers import (
    OrdersOut,
    WorkerBeatIn,
    WorkerClaimIn,
    WorkerClaimOut,
    WorkerIn,
    WorkerOut,
    WorkerRowOut,
    WorkerStoppedIn,
)
from tunebook_server.domain.access import Principal
from tunebook_server.domain.errors import Forbidden
from tunebook_server.domain.lifecycle import Claim
from tunebook_server.domain.paging import Page
from tunebook_server.domain.worker import Orders, Worker, WorkerRow
from tunebook_server.services import access, claims, workers

router = router_of("workers")

Operator = Annotated[Principal, Depends(person("run:launch"))]


@router.get("/workers", operation_id="list_workers", response_model=Listing[WorkerRowOut])
def page(engine: Database, _: Reader, limit: Limit = 100, cursor: Cursor = None) -> Page[WorkerRow]:
    """Workers in order of registration, each with the trials that it holds."""
    return workers.page(engine, limit=limit, cursor=cursor)


@router.post("/workers:register", operation_id="register_worker", response_model=WorkerOut)
def register(body: WorkerIn, engine: Database, principal: WorkerItself) -> Worker:
    """Register under a name, or again after a restart: the token speaks for that worker from now on."""
    access.check_worker_name(engine, principal=principal, name=body.name)
    worker = workers.register(engine, **body.model_dump(), actor=principal.actor)
    access.bind_worker(engine, principal=principal, worker_id=worker.id)
    return worker


@router.post("/workers/{worker_id}:beat", operation_id="worker_beat", response_model=OrdersOut)
def beat(worker_id: Id, body: WorkerBeatIn, engine: Database, principal: WorkerItself) -> Orders:
    """The worker lives and runs these trials; the answer names those that it should stop."""
    _own(principal, worker_id)
    waiting = [(one.trial_id, one.epoch) for one in body.waiting]
    return workers.beat(
        engine, worker_id=worker_id, running=body.running, waiting=waiting, started_at=body.started_at
    )


@router.post("/workers/{worker_id}:claim", operation_id="claim_next", response_model=WorkerClaimOut)
@answers_secret
def claim(
    worker_id: Id, body: WorkerClaimIn, engine: Database, principal: WorkerItself
) -> dict[str, Claim | None]:
    """The queued trial whose turn it is, of those that fit what is free, with the token to report it."""
    _own(principal, worker_id)
    return {
        "claim": claims.claim_next(
            engine, worker_id=worker_id, key=body.key, gpus=body.gpus, cpus=body.cpus, host=body.host
        )
    }


@router.post("/workers/{worker_id}:stopped", operation_id="worker_stopped", response_model=WorkerOut)
def stopped(worker_id: Id, body: WorkerStoppedIn, engine: Database, principal: WorkerItself) -> Worker:
    """The worker ends."""
    _own(principal, worker_id)
    return workers.stopped(engine, worker_id=worker_id, started_at=body.started_at)


@router.post("/workers/{worker_id}:drain", operation_id="drain_worker", response_model=WorkerOut)
def drain(worker_id: Id, _: Nothing, engine: Database, principal: Operator) -> Worker:
    """Take the worker out of use: it takes nothing more, gives its trials back uncharged at its next beat,
    and ends. Started again, it waits until it is undrained."""
    return workers.drain(engine, worker_id=worker_id, actor=principal.actor)


@router.post("/workers/{worker_id}:undrain", operation_id="undrain_worker", response_model=WorkerOut)
def undrain(worker_id: Id, _: Nothing, engine: Database, principal: Operator) -> Worker:
    """Let the worker accept work again; one that has ended must be started on its host."""
    return workers.undrain(engine, worker_id=worker_id, actor=principal.actor)


def _own(principal: Principal, worker_id: int) -> None:
    if principal.worker_id != worker_id:
        raise Forbidden("This token is another worker's.", remedy="Register first, and use the id you got.")
