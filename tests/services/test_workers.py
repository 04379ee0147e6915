"""Drained workers take nothing, however they ask, until somebody lets them; states are the database's."""

import pytest
from sqlalchemy import Engine, text

from tests.services.making import ACTOR, make_study, make_worker
from tunebook_server.domain.errors import Conflict, Drained, NotFound
from tunebook_server.domain.worker import WorkerState
from tunebook_server.services import claims, timelines, trials, workers
from tunebook_server.services.figures import prepare_across, table_across
from tunebook_server.services.workers import silent_after_seconds


def name_of(engine: Engine, worker_id: int) -> str:
    return workers.names(engine, [worker_id])[worker_id]


def state_of(engine: Engine, worker_id: int) -> WorkerState:
    (row,) = [row for row in workers.page(engine).items if row.worker.id == worker_id]
    state = row.state(silent_after_seconds=silent_after_seconds())
    (count,) = [count for count in workers.counts(engine) if count.state is state]
    assert count.workers == 1
    return state


def test_a_drained_worker_takes_nothing_until_it_may(engine: Engine) -> None:
    study = make_study(engine)
    queued = claims.enqueue(engine, study_id=study.id, actor=ACTOR)
    worker_id = make_worker(engine)
    name = name_of(engine, worker_id)
    assert not workers.beat(engine, worker_id=worker_id).drain
    workers.drain(engine, worker_id=worker_id, actor=ACTOR)
    assert workers.beat(engine, worker_id=worker_id).drain
    with pytest.raises(Conflict, match="draining"):
        claims.claim(engine, trial_id=queued.id, worker_id=worker_id)
    assert trials.get(engine, trial_id=queued.id).state == "queued"
    workers.stopped(engine, worker_id=worker_id)
    for _ in range(2):  # started again and again
        with pytest.raises(Drained):
            workers.register(engine, name=name, host="host", slots=1, actor=ACTOR)
    workers.undrain(engine, worker_id=worker_id, actor=ACTOR)
    assert workers.register(engine, name=name, host="host", slots=1, actor=ACTOR).id == worker_id
    assert not workers.beat(engine, worker_id=worker_id).drain
    assert claims.claim(engine, trial_id=queued.id, worker_id=worker_id).trial.epoch == 1
    with pytest.raises(NotFound):
        workers.drain(engine, worker_id=worker_id + 1, actor=ACTOR)


def test_another_worker_is_not_drained_with_it(engine: Engine) -> None:
    study = make_study(engine)
    queued = claims.enqueue(engine, study_id=study.id, actor=ACTOR)
    drained, other = make_worker(engine), make_worker(engine)
    workers.drain(engine, worker_id=drained, actor=ACTOR)
    assert claims.claim(engine, trial_id=queued.id, worker_id=other).trial.worker_id == other


def test_states_on_the_page_are_those_that_are_counted(engine: Engine) -> None:
    worker_id = make_worker(engine)
    assert state_of(engine, worker_id) is WorkerState.ALIVE
    workers.drain(engine, worker_id=worker_id, actor=ACTOR)
    assert state_of(engine, worker_id) is WorkerState.DRAINING
    with engine.begin() as connection:
        connection.execute(text("UPDATE workers SET last_seen_at = now() - interval '1 hour'"))
    assert state_of(engine, worker_id) is WorkerState.SILENT
    workers.stopped(engine, worker_id=worker_id)
    assert state_of(engine, worker_id) is WorkerState.DRAINED
    workers.undrain(engine, worker_id=worker_id, actor=ACTOR)
    assert state_of(engine, worker_id) is WorkerState.STOPPED
    with engine.begin() as connection:
        connection.execute(text("UPDATE workers SET last_seen_at = NULL, stopped_at = NULL"))
    assert state_of(engine, worker_id) is WorkerState.SILENT


def test_the_timeline_of_workers_has_the_window_and_no_more(engine: Engine) -> None:
    one, other = make_study(engine, parallel=10), make_study(engine, parallel=10)
    worker_id = make_worker(engine)
    made = [claims.enqueue(engine, study_id=study.id, actor=ACTOR).id for study in (one, one, one, other)]
    for trial_id in made:
        claims.claim(engine, trial_id=trial_id, worker_id=worker_id)
    for trial_id, hours in zip(made, (30, 2, 0), strict=False):
        trials.finish(engine, trial_id=trial_id, epoch=1, state="stopped")
        with engine.begin() as connection:
            connection.execute(
                text(
                    "UPDATE attempts SET ended_at = ended_at - make_interval(hours => :hours),"
                    " claimed_at = claimed_at - make_interval(hours => :hours + 1) WHERE trial_id = :id"
                ),
                {"hours": hours, "id": trial_id},
            )

    def shown(hours: int) -> list[object]:
        return list(table_across(engine, kind="timeline", options={"hours": str(hours)})["trial_id"])

    assert shown(1) == [made[2], made[3]]
    assert shown(6) == made[1:]
    assert shown(168) == made
    figure = prepare_across(engine, kind="timeline", options={})
    assert figure.version == prepare_across(engine, kind="timeline", options={"hours": "6"}).version
    assert name_of(engine, worker_id) in figure.json()
    assert timelines.HOURS == 6
