import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from tests.services.making import ACTOR, make_study
from tests.services.metric_model import Model, Written, bits, columns, extremes, number
from tunebook_server.domain.chunk import Steps, Values
from tunebook_server.domain.compaction import Sizes
from tunebook_server.domain.errors import Fenced, Invalid, Mismatch, NotFound
from tunebook_server.domain.objective import Objective
from tunebook_server.domain.study import Study
from tunebook_server.domain.trial import TrialState
from tunebook_server.services import checkpoints, curves, metrics, trials
from tunebook_server.services.compaction import compact
from tunebook_server.services.metrics import Accepted
from tunebook_server.storage import metrics as storage
from tunebook_server.storage.engine import connect

LAST = 2**63 - 1
SMALL = Sizes(chunk_points=6, group_points=24, merge_points=10_000)
LOSS = Objective("loss")


def report(engine: Engine, trial_id: int, epoch: int, sequence: int, written: Written) -> Accepted:
    content_hash = hashlib.sha256(repr(sorted(written.items())).encode()).digest()
    return metrics.report(
        engine,
        trial_id=trial_id,
        epoch=epoch,
        sequence=sequence,
        series=columns(written),
        content_hash=content_hash,
    )


def start(engine: Engine, objective: Objective = LOSS) -> tuple[Study, int]:
    study = make_study(engine, launched=False, objective=objective)
    (claim,) = trials.ask(engine, study_id=study.id, client_id="loop", actor=ACTOR)
    return study, claim.trial.id


values = st.one_of(
    st.floats(width=64),
    st.sampled_from([0.0, -0.0, 5e-324, -5e-324, 1e308, float("nan"), float("inf"), -float("inf")]),
    st.integers(-3, 3).map(float),
)
steps = st.one_of(
    st.integers(0, 12), st.integers(0, 12), st.integers(0, 60), st.sampled_from([LAST - 1, LAST])
)
points = st.one_of(
    st.lists(st.tuples(steps, values), min_size=1, max_size=8),
    st.tuples(st.integers(0, 60), st.lists(values, min_size=1, max_size=20)).map(
        lambda run: [(run[0] + place, value) for place, value in enumerate(run[1])]
    ),
)
batches = st.one_of(
    points.map(lambda written: {"loss": written}),
    st.dictionaries(st.sampled_from(["loss", "acc"]), points, min_size=1, max_size=2),
)


@dataclass(frozen=True)
class Report:
    """Sent again under a sequence that was used, it is a replay. Two servers take them, each with what it
    remembers of the trial.
    """

    sequence: int
    written: Written
    server: int


@dataclass(frozen=True)
class Resume:
    checkpoint: int | None


@dataclass(frozen=True)
class Compact:
    pass


appended = st.builds(
    lambda first, new, server: Report(first // 10, {"loss": [(first, new[0]), (first + 1, new[1])]}, server),
    st.integers(0, 99),
    st.tuples(values, values),
    st.integers(0, 1),
)
reports = st.one_of(st.builds(Report, st.integers(0, 9), batches, st.integers(0, 1)), appended)
operations = st.one_of(
    *(reports,) * 5,
    st.builds(Compact),
    st.builds(Resume, st.one_of(st.none(), st.integers(0, 20))),
)


class Player:
    """Plays operations on a trial and on the model."""

    def __init__(self, servers: tuple[Engine, Engine], objective: Objective) -> None:
        self.servers, self.objective, self.model = servers, objective, Model()
        engine = self.engine = servers[0]
        self.study, self.trial_id = start(engine, objective)

    def play(self, operation: Report | Resume | Compact) -> None:
        if isinstance(operation, Report):
            self._report(operation)
        elif isinstance(operation, Resume):
            self._resume(operation.checkpoint)
        else:
            compact(self.engine, loose_chunks=2, sizes=SMALL)

    def _report(self, operation: Report) -> None:
        epoch, sequence = self.model.epoch, operation.sequence
        sent = self.model.batches[epoch]
        replayed = sequence in sent
        written = sent.setdefault(sequence, operation.written)
        server = self.servers[operation.server]
        assert report(server, self.trial_id, epoch, sequence, written).duplicate == replayed

    def _resume(self, checkpoint: int | None) -> None:
        epoch = self.model.epoch
        if checkpoint is not None:
            uri = f"/checkpoints/{epoch}/{checkpoint}"
            checkpoints.register(self.engine, trial_id=self.trial_id, epoch=epoch, step=checkpoint, uri=uri)
        trials.release(self.engine, trial_id=self.trial_id, epoch=epoch)
        (claim,) = trials.ask(self.engine, study_id=self.study.id, client_id="loop", actor=ACTOR)
        assert (claim.trial.id, claim.trial.epoch) == (self.trial_id, epoch + 1)
        self.model.resume(claim.resume.step if claim.resume else None)

    def check(self) -> None:
        self._check_score()
        self._check_visible()
        self._check_summaries()

    def _check_score(self) -> None:
        trial = trials.get(self.engine, trial_id=self.trial_id)
        best, best_step, last_step, _ = self.model.score(self.objective)
        assert (trial.best_step, trial.last_step) == (best_step, last_step)
        assert (trial.objective is None) == (best is None)
        if best is not None and trial.objective is not None:
            assert bits(trial.objective) == bits(best)

    def _check_visible(self) -> None:
        read = curves.read(self.engine, trial_ids=[self.trial_id], superseded=True, max_points=100_000)
        shown = {curve.metric: curve for curve in read if not curve.superseded}
        beyond = {(curve.metric, curve.epoch): curve for curve in read if curve.superseded}
        for metric in self.model.metrics():
            expected = self.model.visible(metric)
            assert (metric in shown) == bool(expected)
            if expected:
                same(shown[metric].steps, shown[metric].values, expected)
                assert shown[metric].total_points == len(expected)
            for epoch in self.model.batches:
                superseded = self.model.superseded(metric, epoch)
                assert ((metric, epoch) in beyond) == bool(superseded)
                if superseded:
                    same(beyond[metric, epoch].steps, beyond[metric, epoch].values, superseded)

    def _check_summaries(self) -> None:
        rows = {(row.metric, row.epoch): row for row in curves.summaries(self.engine, trial_id=self.trial_id)}
        for (metric, epoch), row in rows.items():
            reported, summary = self.model.reported(metric, epoch), row.summary
            assert (summary.points, summary.first_step, summary.last_step) == (
                len(reported),
                min(reported),
                max(reported),
            )
            assert number(summary.last_value) == number(reported[max(reported)])
            assert (summary.min_value, summary.max_value) == extremes(reported)
            assert summary.nonfinite_points == sum(not np.isfinite(value) for value in reported.values())
        last = curves.last_values(self.engine, trial_ids=[self.trial_id])[self.trial_id]
        expected = {metric: self.model.visible(metric) for metric in self.model.metrics()}
        assert {metric: number(value) for metric, value in last.items()} == {
            metric: number(list(visible.values())[-1]) for metric, visible in expected.items() if visible
        }


def same(steps: Steps, values: Values, expected: dict[int, float]) -> None:
    assert list(steps) == list(expected)
    assert [bits(value) for value in values] == [bits(value) for value in expected.values()]


@pytest.fixture
def servers(engine: Engine, database_url: str) -> Iterator[tuple[Engine, Engine]]:
    other = connect(database_url)
    yield engine, other
    other.dispose()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(operations, min_size=5, max_size=30),
    st.sampled_from(["minimize", "maximize"]),
    st.sampled_from(["best", "last"]),
)
def test_any_history_reads_back_as_the_model_says(
    servers: tuple[Engine, Engine],
    history: list[Report | Resume | Compact],
    direction: str,
    evaluation: str,
) -> None:
    """Any split into batches, order, number of deliveries and servers, resumes, compaction at any moment."""
    player = Player(servers, Objective("loss", direction, evaluation))  # type: ignore[arg-type]
    for operation in history:
        player.play(operation)
        player.check()
    player.play(Compact())
    player.check()
    trials.release(player.engine, trial_id=player.trial_id, epoch=player.model.epoch)
    player.play(Compact())
    player._check_visible()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(values, min_size=30, max_size=400), st.data())
def test_a_long_curve_read_in_few_points_keeps_its_ends_and_extremes(
    engine: Engine, written: list[float], data: st.DataObject
) -> None:
    _, trial_id = start(engine)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(written) - 1), max_size=30)))
    parts = list(enumerate(zip([0, *cuts], [*cuts, len(written)], strict=True)))
    for sequence, (start_step, end_step) in data.draw(st.one_of(st.just(parts), st.permutations(parts))):
        part = [(step, written[step]) for step in range(start_step, end_step)]
        report(engine, trial_id, 1, sequence, {"loss": part})
        if data.draw(st.booleans()):
            compact(engine, loose_chunks=2, sizes=SMALL)
    first, last = sorted(data.draw(st.tuples(*[st.integers(0, len(written) - 1)] * 2)))
    max_points = data.draw(st.integers(8, 40))
    expected = dict(enumerate(written[first : last + 1], first))
    (curve,) = curves.read(
        engine, trial_ids=[trial_id], first_step=first, last_step=last, max_points=max_points
    )
    shown = dict(zip(curve.steps.tolist(), curve.values.tolist(), strict=True))
    assert len(shown) <= max_points
    assert curve.total_points == len(expected)
    assert curve.decimated == (len(shown) < len(expected))
    assert {first, last} <= set(shown)
    assert extremes(shown) == extremes(expected)
    assert all(bits(value) == bits(expected[step]) for step, value in shown.items())


def test_a_batch_is_stored_once_whatever_is_sent_again(engine: Engine) -> None:
    _, trial_id = start(engine)
    written = {"loss": [(1, 0.5), (2, 0.25)]}
    assert report(engine, trial_id, 1, 7, written) == Accepted(2, duplicate=False)
    assert report(engine, trial_id, 1, 7, written) == Accepted(2, duplicate=True)
    with pytest.raises(Mismatch, match="other content"):
        report(engine, trial_id, 1, 7, {"loss": [(1, 0.5), (2, 0.75)]})
    trials.finish(engine, trial_id=trial_id, epoch=1, state="completed")
    assert report(engine, trial_id, 1, 7, written) == Accepted(2, duplicate=True)
    with pytest.raises(Fenced, match="completed"):
        report(engine, trial_id, 1, 8, written)


@pytest.mark.parametrize("guarded", [True, False])
def test_nothing_is_written_on_what_is_remembered_of_before(
    servers: tuple[Engine, Engine], monkeypatch: pytest.MonkeyPatch, guarded: bool
) -> None:
    """What a server remembers is old after a report to another; unguarded, it forgets the better value."""
    if not guarded:
        unguarded = storage.WRITE.replace("AND reports = %(reports)s", "")
        assert unguarded != storage.WRITE
        monkeypatch.setattr(storage, "WRITE", unguarded)
    here, there = servers
    _, trial_id = start(here)
    report(here, trial_id, 1, 0, {"loss": [(0, 5.0)]})
    report(there, trial_id, 1, 1, {"loss": [(1, 1.0)]})
    report(here, trial_id, 1, 2, {"loss": [(2, 7.0)]})
    trial = trials.get(here, trial_id=trial_id)
    assert (trial.objective, trial.best_step, trial.last_step) == ((1.0, 1, 2) if guarded else (5.0, 0, 2))


@pytest.mark.parametrize("guarded", [True, False])
def test_an_attempt_that_has_ended_takes_no_more(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, guarded: bool
) -> None:
    """Nor does what is remembered of it let a point through; without the guard it would."""
    if not guarded:
        monkeypatch.setattr(
            storage, "WRITE", storage.WRITE.replace("AND state IN ('claimed', 'running')", "")
        )
    _, trial_id = start(engine)
    report(engine, trial_id, 1, 0, {"loss": [(0, 5.0)]})
    trials.finish(engine, trial_id=trial_id, epoch=1, state=TrialState.COMPLETED)
    if guarded:
        with pytest.raises(Fenced):
            report(engine, trial_id, 1, 1, {"loss": [(1, 7.0)]})
    else:
        report(engine, trial_id, 1, 1, {"loss": [(1, 7.0)]})
    (curve,) = curves.read(engine, trial_ids=[trial_id], metrics=["loss"])
    assert len(curve.steps) == (1 if guarded else 2)


def test_an_old_attempt_writes_nothing(engine: Engine) -> None:
    study, trial_id = start(engine)
    report(engine, trial_id, 1, 0, {"loss": [(1, 1.0)]})
    trials.release(engine, trial_id=trial_id, epoch=1)
    with pytest.raises(Fenced):
        report(engine, trial_id, 1, 1, {"loss": [(2, 1.0)]})
    trials.ask(engine, study_id=study.id, client_id="loop", actor=ACTOR)
    for epoch, sequence in ((1, 0), (1, 1), (3, 1)):
        with pytest.raises(Fenced):
            report(engine, trial_id, epoch, sequence, {"loss": [(2, 1.0)], "new": [(2, 1.0)]})
    assert curves.metric_names(engine, study_id=study.id) == ["loss"]
    assert [row.summary.points for row in curves.summaries(engine, trial_id=trial_id)] == [1]


def test_a_first_report_says_that_the_trial_runs_and_the_study_has_changed(engine: Engine) -> None:
    from tunebook_server.services import studies

    study, trial_id = start(engine)
    before = studies.get(engine, study_id=study.id).revision
    report(engine, trial_id, 1, 0, {"loss": [(1, 1.0)]})
    assert trials.get(engine, trial_id=trial_id).state == "running"
    assert studies.get(engine, study_id=study.id).revision == before + 1


@pytest.mark.parametrize(
    ("series", "problem"),
    [
        ({}, "no series"),
        ({"loss": [(-1, 1.0)]}, "negative"),
        ({"": [(1, 1.0)]}, "no name"),
        ({"x" * 201: [(1, 1.0)]}, "no name"),
        ({"a\0b": [(1, 1.0)]}, "no name"),
        ({"a\nb": [(1, 1.0)]}, "no name"),
        ({"\ud800": [(1, 1.0)]}, "no name"),
        ({"loss": []}, "no points"),
        ({f"m{number}": [(1, 1.0)] for number in range(1_001)}, "1001 series"),
    ],
)
def test_what_cannot_be_stored_is_refused_by_name(engine: Engine, series: Written, problem: str) -> None:
    _, trial_id = start(engine)
    with pytest.raises(Invalid) as refused:
        report(engine, trial_id, 1, 0, series)
    assert any(problem in fault.problem for fault in refused.value.faults)
    assert curves.summaries(engine, trial_id=trial_id) == []


def test_bounds_of_a_batch_and_of_a_study(engine: Engine) -> None:
    _, trial_id = start(engine)
    most = np.arange(100_000), np.zeros(100_000)
    taken = metrics.report(
        engine, trial_id=trial_id, epoch=1, sequence=0, series={"loss": most}, content_hash=b"a"
    )
    assert taken.points == 100_000
    more = {"loss": most, "acc": (np.array([1]), np.array([1.0]))}
    with pytest.raises(Invalid, match="batch"):
        metrics.report(engine, trial_id=trial_id, epoch=1, sequence=1, series=more, content_hash=b"b")
    for sequence in (-1, 2**63):
        with pytest.raises(Invalid, match="sequence"):
            report(engine, trial_id, 1, sequence, {"loss": [(1, 1.0)]})
    with pytest.raises(NotFound):
        report(engine, 2**62, 1, 1, {"loss": [(1, 1.0)]})
    for portion in range(2):
        report(engine, trial_id, 1, 10 + portion, {f"m{portion} {n}": [(1, 1.0)] for n in range(999)})
    report(engine, trial_id, 1, 12, {"last one": [(1, 1.0)]})
    with pytest.raises(Invalid, match="2001 metrics"):
        report(engine, trial_id, 1, 13, {"one too many": [(1, 1.0)], "loss": [(1, 1.0)]})
    assert len(curves.metric_names(engine, study_id=trials.get(engine, trial_id=trial_id).study_id)) == 2_000


def test_writers_on_one_study_leave_what_each_of_them_wrote(engine: Engine) -> None:
    """Eight attempts report at once, each batch delivered by two threads; new metric names among them."""
    study = make_study(engine, launched=False, objective=LOSS, parallel=8)
    claims = trials.ask(engine, study_id=study.id, client_id="loop", count=8, actor=ACTOR)
    failures: list[BaseException] = []

    def write(trial_id: int) -> None:
        for sequence in range(12):
            written = {
                "loss": [(10 * sequence + place, trial_id + sequence * 0.1) for place in range(10)],
                f"metric {(sequence * 7 + trial_id) % 5}": [(sequence, float(sequence))],
            }
            try:
                report(engine, trial_id, 1, sequence, written)
            except BaseException as failure:
                failures.append(failure)
                raise

    run_all([partial(write, claim.trial.id) for claim in claims for _ in range(2)])
    assert failures == []
    for claim in claims:
        trial = trials.get(engine, trial_id=claim.trial.id)
        assert (trial.objective, trial.best_step, trial.last_step) == (float(trial.id), 0, 119)
        (curve,) = curves.read(engine, trial_ids=[trial.id], metrics=["loss"])
        assert curve.steps.tolist() == list(range(120))
        others = {row.metric: row.summary.points for row in curves.summaries(engine, trial_id=trial.id)}
        assert sum(others.values()) == 120 + 12


def run_all(tasks: Sequence[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=task) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
