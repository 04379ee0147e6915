"""Checkpoints that are not kept: which a worker should remove, and which it has removed."""

from typing import Any

from tunebook_server.api.access import Database, WorkerItself
from tunebook_server.api.route import router_of
from tunebook_server.api.schemas import Id
from tunebook_server.api.schemas.checkpoints import RemovalsIn, RemovalsOut, RemovedIn, RemovedOut
from tunebook_server.domain.access import Principal
from tunebook_server.domain.errors import Forbidden
from tunebook_server.services import retention
from tunebook_server.services.retention import Root

router = router_of("workers", prefix="/workers")


@router.post("/{worker_id}:removals", operation_id="list_removals", response_model=RemovalsOut)
def take(worker_id: Id, body: RemovalsIn, engine: Database, principal: WorkerItself) -> dict[str, Any]:
    """Checkpoints below these roots that the worker should remove from there."""
    _own(principal, worker_id)
    roots = [Root(root.uri, root.shared) for root in body.roots]
    return {"items": retention.take(engine, worker_id=worker_id, roots=roots)}


@router.post("/{worker_id}:removed", operation_id="confirm_removals", response_model=RemovedOut)
def confirm(worker_id: Id, body: RemovedIn, engine: Database, principal: WorkerItself) -> dict[str, Any]:
    """These are gone from their store; said again, it changes nothing."""
    _own(principal, worker_id)
    gone = retention.confirm(
        engine, worker_id=worker_id, checkpoint_ids=body.removed, failed=body.failed, actor=principal.actor
    )
    return {"removed": len(gone)}


def _own(principal: Principal, worker_id: int) -> None:
    if principal.worker_id != worker_id:
        raise Forbidden("This token is another worker's.", remedy="Register first, and use the id you got.")
