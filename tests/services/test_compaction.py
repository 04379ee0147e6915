import threading
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError

from tests.live import until
from tests.services.making import ACTOR, make_study
from tunebook_server.domain.compaction import MAX_LEVEL, Sizes
from tunebook_server.domain.objective import Objective
from tunebook_server.services import curves, metrics, trials
from tunebook_server.services.compaction import compact
from tunebook_server.storage import curves as rows
from tunebook_server.storage.curves import Portion

WAITING = """
SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
"""
SIZES = Sizes(chunk_points=64, group_points=256)
LAST = 2**63 - 1


def start(engine: Engine) -> int:
    study = make_study(engine, launched=False, objective=Objective("loss"))
    (claim,) = trials.ask(engine, study_id=study.id, client_id="loop", actor=ACTOR)
    return claim.trial.id


def report(engine: Engine, trial_id: int, sequence: int, steps: range, value: float = 0.5) -> None:
    series = {"loss": (np.array(steps, dtype=np.int64), np.sin(np.array(steps)) + value)}
    metrics.report(
        engine,
        trial_id=trial_id,
        epoch=1,
        sequence=sequence,
        series=series,
        content_hash=repr((steps, value)).encode(),
    )


def chunks(engine: Engine, level: int = 0) -> list[int]:
    with engine.connect() as connection:
        query = text("SELECT points FROM metric_chunks WHERE level = :level ORDER BY sequence")
        return list(connection.execute(query, {"level": level}).scalars())


def test_many_small_chunks_become_few_large_ones(engine: Engine) -> None:
    trial_id = start(engine)
    for sequence in range(64):
        report(engine, trial_id, sequence, range(10 * sequence, 10 * sequence + 10))
    (before,) = curves.read(engine, trial_ids=[trial_id])
    assert compact(engine, sizes=SIZES) == 1
    assert sum(chunks(engine)) == 640
    assert len(chunks(engine)) == 10
    assert compact(engine, sizes=SIZES) == 0
    (after,) = curves.read(engine, trial_ids=[trial_id])
    assert after.values.tobytes() == before.values.tobytes()


def test_few_chunks_wait_until_the_attempt_is_over(engine: Engine) -> None:
    trial_id = start(engine)
    for sequence in (0, 1, 3):
        report(engine, trial_id, sequence, range(sequence, sequence + 1))
    assert compact(engine) == 0
    trials.finish(engine, trial_id=trial_id, epoch=1, state="completed")
    assert compact(engine) == 1
    assert chunks(engine) == [3]
    assert compact(engine) == 0


def test_a_late_batch_finds_its_place_among_joined_ones(engine: Engine) -> None:
    """Sequence 5 comes last and loses against what was written after it, and against nothing else."""
    trial_id = start(engine)
    for sequence in (*range(5), *range(6, 70)):
        report(engine, trial_id, sequence, range(10), value=float(sequence))
    compact(engine)
    report(engine, trial_id, 5, range(12), value=5.0)
    for _ in range(2):
        (curve,) = curves.read(engine, trial_ids=[trial_id])
        assert curve.values.tolist() == [
            *(np.sin(np.arange(10)) + 69.0).tolist(),
            *(np.sin(np.arange(10, 12)) + 5.0).tolist(),
        ]
        compact(engine)


def test_a_late_batch_is_seen_where_levels_are_drawn(engine: Engine) -> None:
    trial_id = start(engine)
    for sequence in (*range(50), *range(51, 100)):
        report(engine, trial_id, sequence, range(10 * sequence, 10 * sequence + 10))
    compact(engine, sizes=SIZES)
    assert chunks(engine, level=1)
    report(engine, trial_id, 50, range(500, 510), value=1_000.0)
    for _ in range(2):
        (curve,) = curves.read(engine, trial_ids=[trial_id], max_points=16)
        assert curve.values.max() > 900.0
        assert curve.total_points == 1_000
        compact(engine, sizes=SIZES)


def test_what_was_overwritten_leaves_the_levels_too(engine: Engine) -> None:
    trial_id = start(engine)
    for sequence in range(64):
        spike = 1_000.0 if sequence == 7 else 0.0
        report(engine, trial_id, sequence, range(10 * sequence, 10 * sequence + 10), value=spike)
    compact(engine, sizes=SIZES)
    assert chunks(engine, level=1)
    report(engine, trial_id, 64, range(70, 80), value=0.0)
    assert compact(engine, sizes=SIZES) == 1
    assert chunks(engine, level=1)
    (curve,) = curves.read(engine, trial_ids=[trial_id], max_points=16)
    assert curve.values.max() <= 1.0
    assert curve.total_points == 640


def test_a_long_curve_is_read_in_portions_of_what_is_drawn(engine: Engine) -> None:
    trial_id, points = start(engine), 400_000
    for sequence in range(80):
        report(engine, trial_id, sequence, range(5_000 * sequence, 5_000 * (sequence + 1)))
    compact(engine)
    trials.finish(engine, trial_id=trial_id, epoch=1, state="completed")
    compact(engine)
    assert [len(chunks(engine, level)) > 0 for level in range(4)] == [True, True, True, False]
    (whole,) = curves.read(engine, trial_ids=[trial_id], max_points=points // 4)
    (drawn,) = curves.read(engine, trial_ids=[trial_id], max_points=500)
    assert drawn.total_points == points
    assert 250 <= len(drawn.steps) <= 500
    assert (drawn.values.min(), drawn.values.max()) == (whole.values.min(), whole.values.max())
    with engine.connect() as connection:
        (row,) = rows.rows(connection, trial_ids=[trial_id], metrics=None)
        (loaded,) = rows.load(connection, [Portion(row, 1_000, LAST, level=2)])
        ends = 8 * 5_000  # a group of chunks at either end: the rest is drawn from levels
        assert len(loaded.points) < ends + points / 16
        assert loaded.total_points == points - 1_000
        (finest,) = rows.load(connection, [Portion(row, 150_000, 150_999, level=MAX_LEVEL)])
        assert finest.points.steps.tolist() == list(range(150_000, 151_000))
    (zoomed,) = curves.read(engine, trial_ids=[trial_id], first_step=150_000, last_step=150_799)
    assert zoomed.steps.tolist() == list(range(150_000, 150_800))


def test_steps_in_clusters_are_drawn_from_a_finer_level(engine: Engine) -> None:
    """The range asked for seems to hold nearly all points and holds few: an estimate is no excuse."""
    trial_id = start(engine)
    for sequence in range(4):
        report(engine, trial_id, sequence, range(50_000 * sequence, 50_000 * (sequence + 1)))
    report(engine, trial_id, 4, range(10**9, 10**9 + 3_000))
    trials.finish(engine, trial_id=trial_id, epoch=1, state="completed")
    assert compact(engine) == 1
    (curve,) = curves.read(engine, trial_ids=[trial_id], first_step=200_000, max_points=3_000)
    assert len(curve.steps) == 3_000


def test_a_trial_that_somebody_works_on_is_left_for_the_next_call(engine: Engine) -> None:
    trial_id = start(engine)
    for sequence in range(64):
        report(engine, trial_id, sequence, range(sequence, sequence + 1))
    with engine.begin() as other:
        other.execute(text("SELECT FROM trials WHERE id = :id FOR NO KEY UPDATE"), {"id": trial_id})
        assert compact(engine) == 0
    assert compact(engine) == 1


def cut_off(engine: Engine, *, lock: str, work: Callable[[], object]) -> None:
    """Runs `work` until it waits for the row that `lock` selects, then ends its connection."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except OperationalError as failure:
            failures.append(failure)

    thread = threading.Thread(target=run)
    with engine.begin() as holder:
        holder.execute(text(lock))
        thread.start()
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as observer:
            until(lambda: observer.execute(text(WAITING)).scalar(), "a wait for the locked row")
            observer.execute(text(f"SELECT pg_terminate_backend(pid) FROM ({WAITING}) AS waiting"))
        thread.join()
    assert len(failures) == 1


def stored(connection: Connection) -> dict[str, int]:
    tables = ("metric_batches", "metric_chunks", "curves", "metrics")
    return {table: connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() for table in tables}


@pytest.mark.parametrize("in_one_transaction", [True, False])
def test_a_report_cut_off_half_way_leaves_nothing(engine: Engine, in_one_transaction: bool) -> None:
    """The control, without a transaction, leaves half of it: so the cut is where it hurts."""
    trial_id = start(engine)
    used = engine if in_one_transaction else engine.execution_options(isolation_level="AUTOCOMMIT")
    cut_off(
        engine,
        lock="SELECT FROM studies FOR NO KEY UPDATE",
        work=partial(report, used, trial_id, 0, range(10)),
    )
    with engine.connect() as connection:
        assert (sum(stored(connection).values()) == 0) == in_one_transaction
    if in_one_transaction:
        report(engine, trial_id, 0, range(10))
        assert trials.get(engine, trial_id=trial_id).last_step == 9


@pytest.mark.parametrize("in_one_transaction", [True, False])
def test_a_compaction_cut_off_half_way_changes_nothing(engine: Engine, in_one_transaction: bool) -> None:
    trial_id = start(engine)
    for sequence in range(64):
        report(engine, trial_id, sequence, range(sequence, sequence + 1))
    used = engine if in_one_transaction else engine.execution_options(isolation_level="AUTOCOMMIT")
    cut_off(engine, lock="SELECT FROM curves FOR NO KEY UPDATE", work=partial(compact, used))
    assert (len(chunks(engine)) == 64) == in_one_transaction
    compact(engine)
    assert chunks(engine) == [64]
    (curve,) = curves.read(engine, trial_ids=[trial_id])
    assert curve.steps.tolist() == list(range(64))
