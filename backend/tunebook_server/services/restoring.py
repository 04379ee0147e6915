"""A database that came out of a backup: nothing of before may write to it, and what ran is queued again."""

from collections.abc import Mapping
from dataclasses import dataclass

from tunebook_server.domain import lifecycle
from tunebook_server.domain.lifecycle import Outcome
from tunebook_server.domain.trial import Trial, TrialState
from tunebook_server.storage import attempts, audit, generations, studies, trials
from tunebook_server.storage.engine import Connection, Engine, transaction

REASON = "restored from a backup"


@dataclass(frozen=True, slots=True)
class Marked:
    """`requeued`: trials that ran when the backup was made; `stopped`: those of them that a person had
    cancelled."""

    generation: str
    requeued: int
    stopped: int
    tokens_revoked: int


def mark(
    engine: Engine, *, revoke_tokens: bool = False, detail: Mapping[str, object] | None = None
) -> Marked:
    """Begins a new generation: tokens of trials are dead, sessions and login codes gone, trials that ran are
    queued again without charging an attempt.

    `detail` goes into the audit. Tokens of people and workers go on unless `revoke_tokens`.
    """
    with transaction(engine) as connection:
        generations.lock(connection)
        return _mark(connection, revoke_tokens=revoke_tokens, detail=detail or {})


def notice(engine: Engine) -> Marked | None:
    """Marks a database that somebody restored by other means than ours, known by its place; else None."""
    with transaction(engine) as connection:
        here = generations.place(connection)
        if generations.current(connection).place == here:
            return None
        known = generations.lock(connection).place
        if not known:
            generations.settle(connection, here)
        if known in ("", here):
            return None
        return _mark(connection, revoke_tokens=False, detail={"noticed": here, "was": known})


def _mark(connection: Connection, *, revoke_tokens: bool, detail: Mapping[str, object]) -> Marked:
    before = generations.current(connection).generation
    ended = [_give_back(connection, trial) for trial in generations.held(connection)]
    for study_id in sorted({trial.study_id for trial in ended}):
        studies.bump_best(connection, study_id)
    generations.end_logins(connection)
    revoked = generations.revoke_tokens(connection) if revoke_tokens else 0
    generation = generations.renew(connection, generations.place(connection))
    queued = sum(trial.state is TrialState.QUEUED for trial in ended)
    audit.write(
        connection,
        actor="system",
        action="server.restore",
        target="server",
        detail={
            **detail,
            "generation": str(generation),
            "before": str(before),
            "requeued": queued,
            "stopped": len(ended) - queued,
            "tokens_revoked": revoked,
        },
    )
    return Marked(str(generation), queued, len(ended) - queued, revoked)


def _give_back(connection: Connection, trial: Trial) -> Trial:
    ending = lifecycle.end(trial, Outcome.RELEASED, REASON, max_attempts=trial.attempts + 1, fates=())
    attempts.end(connection, trial.id, trial.epoch, ending, reason=REASON)
    audit.write(
        connection,
        actor="system",
        action="trial.restored",
        target=f"trial:{trial.id}",
        detail={"epoch": trial.epoch, "state": ending.state.value},
    )
    return trials.end(connection, trial, ending)
