"""What a training job says about its attempt, with the token of that very epoch."""

from fastapi import BackgroundTasks

from tunebook_server import broker
from tunebook_server.api.access import Database, Reader, Reporter, WorkerItself
from tunebook_server.api.route import answers_secret, router_of
from tunebook_server.api.schemas import Id, Listing
from tunebook_server.api.schemas.trials import (
    AttemptOut,
    BeatOut,
    ClaimIn,
    ClaimOut,
    EpochIn,
    FinishIn,
    ReleaseIn,
    StartIn,
    TrialOut,
)
from tunebook_server.domain.errors import Forbidden
from tunebook_server.domain.lifecycle import Beat, Claim
from tunebook_server.domain.paging import Page
from tunebook_server.domain.trial import Attempt, Trial
from tunebook_server.services import trials

router = router_of("attempts", prefix="/trials")


@router.post("/{trial_id}:heartbeat", operation_id="heartbeat", response_model=BeatOut)
def heartbeat(trial_id: Id, body: EpochIn, engine: Database, principal: Reporter) -> Beat:
    """Renew the lease. 409 fenced: stop, another attempt goes on. 410: the trial was cancelled."""
    principal.require_epoch(body.epoch)
    return trials.heartbeat(engine, trial_id=trial_id, epoch=body.epoch)


@router.post("/{trial_id}:claim", operation_id="claim_trial", response_model=ClaimOut)
@answers_secret
def claim(trial_id: Id, body: ClaimIn, engine: Database, principal: WorkerItself) -> Claim:
    """Take a queued trial: a new epoch, its lease, and the token to report it."""
    if principal.worker_id is None:
        raise Forbidden("This worker has not registered.", remedy="POST /api/v1/workers:register first.")
    return trials.claim(engine, trial_id=trial_id, worker_id=principal.worker_id, host=body.host)


@router.post("/{trial_id}:start", operation_id="start_trial", response_model=TrialOut)
def start(trial_id: Id, body: StartIn, engine: Database, principal: Reporter) -> Trial:
    """The training process runs."""
    principal.require_epoch(body.epoch)
    return trials.start(
        engine,
        trial_id=trial_id,
        epoch=body.epoch,
        environment=body.environment,
        host=body.host,
        resumed=None if body.resumed is None else body.resumed.value(),
    )


@router.post("/{trial_id}:finish", operation_id="finish_trial", response_model=TrialOut)
def finish(
    trial_id: Id, body: FinishIn, after: BackgroundTasks, engine: Database, principal: Reporter
) -> Trial:
    """End the attempt. The same ending again changes nothing, another one is refused."""
    principal.require_epoch(body.epoch)
    trial = trials.finish(
        engine,
        trial_id=trial_id,
        epoch=body.epoch,
        state=body.state,
        reason=body.reason,
        exit_status=body.exit_status,
        dropped_points=body.dropped_points,
    )
    after.add_task(_tell, trial)
    return trial


@router.post("/{trial_id}:release", operation_id="release_trial", response_model=TrialOut)
def release(
    trial_id: Id, body: ReleaseIn, after: BackgroundTasks, engine: Database, principal: Reporter
) -> Trial:
    """Give the trial back to the queue; no attempt is charged."""
    principal.require_epoch(body.epoch)
    trial = trials.release(
        engine, trial_id=trial_id, epoch=body.epoch, reason=body.reason, preempted=body.preempted
    )
    after.add_task(_tell, trial)
    return trial


@router.get("/{trial_id}/attempts", operation_id="list_attempts", response_model=Listing[AttemptOut])
def page(trial_id: Id, engine: Database, _: Reader) -> Page[Attempt]:
    """Every try at this trial, in order; the newest 1,000."""
    return Page(tuple(trials.attempts(engine, trial_id=trial_id)))


def _tell(trial: Trial) -> None:
    broker.wake(trial.study_id)
