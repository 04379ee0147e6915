"""Whose turn it is: shares follow weights, priorities go first, limits hold, and nobody waits for ever."""

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from tests.services.making import ACTOR, SPACE, make_study, make_worker
from tunebook_server.domain.errors import Invalid, NotFound
from tunebook_server.domain.lifecycle import Claim
from tunebook_server.domain.objective import Objective
from tunebook_server.domain.study import Study, StudyDesign
from tunebook_server.services import claims, projects, studies, templates, trials, workers
from tunebook_server.services.sampling import fill

WEIGHTS = st.sampled_from((0.5, 1.0, 2.0, 3.0))


class Fleet:
    """Workers with `slots` places in all, each filled at once when it is free."""

    def __init__(self, engine: Engine, slots: int) -> None:
        self.engine, self.slots, self.worker, self.keys = engine, slots, make_worker(engine), 0
        self.held: list[Claim] = []

    def claim(self) -> Claim | None:
        self.keys += 1
        return claims.claim_next(self.engine, worker_id=self.worker, key=f"k{self.keys}")

    def fill(self) -> None:
        while len(self.held) < self.slots and (claim := self.claim()) is not None:
            self.held.append(claim)

    def end(self, place: int) -> Claim:
        claim = self.held.pop(place)
        trial = claim.trial
        trials.finish(self.engine, trial_id=trial.id, epoch=trial.epoch, state="infeasible", reason="test")
        fill(self.engine, study_id=trial.study_id)
        return claim

    def studies(self) -> Counter[int]:
        return Counter(claim.trial.study_id for claim in self.held)


def running_study(engine: Engine, *, weight: float = 1.0, priority: int = 0, **design: object) -> Study:
    study = make_study(engine, launched=True, **{"budget": 10_000, "parallel": 100, **design})
    changed = {"weight": weight, "priority": priority}
    study = studies.edit(engine, study_id=study.id, changes=changed, actor=ACTOR)
    fill(engine, study_id=study.id)
    return study


def beside(engine: Engine, project_id: int, *, name: str, **changes: object) -> Study:
    """Another study of the same project."""
    design = StudyDesign(
        name=name,
        goal="",
        objective=Objective("loss"),
        space=SPACE,
        budget=10_000,
        parallel=100,
        template="train",
    )
    study = studies.create(engine, project_id=project_id, design=design, actor=ACTOR)
    study = studies.edit(engine, study_id=study.id, changes=changes, actor=ACTOR)
    fill(engine, study_id=study.id)
    return study


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    weights=st.lists(WEIGHTS, min_size=2, max_size=4),
    slots=st.integers(1, 9),
    ends=st.lists(st.integers(0, 1000), min_size=30, max_size=30),
)
def test_projects_hold_what_their_weights_say(
    engine: Engine, weights: Sequence[float], slots: int, ends: Sequence[int]
) -> None:
    """After each claim nobody holds a place that another with less for its weight had a claim to."""
    made = [running_study(engine) for _ in weights]
    for study, weight in zip(made, weights, strict=True):
        projects.edit(
            engine, project_id=study.project_id, revision=None, changes={"weight": weight}, actor=ACTOR
        )
    fleet = Fleet(engine, slots)
    share = {study.id: weight for study, weight in zip(made, weights, strict=True)}
    for end in [None, *ends]:
        if end is not None:
            fleet.end(end % len(fleet.held))
        before = fleet.studies()
        fleet.fill()
        given_to = fleet.held[-1].trial.study_id
        if end is not None:
            least = min(before[study.id] / share[study.id] for study in made)
            assert before[given_to] / share[given_to] == least
    assert len(fleet.held) == slots
    _stop(engine, made)


@pytest.mark.parametrize("weights", [(1.0, 1.0), (3.0, 1.0)])
def test_a_single_slot_goes_round_in_proportion(engine: Engine, weights: tuple[float, float]) -> None:
    made = [running_study(engine) for _ in weights]
    for study, weight in zip(made, weights, strict=True):
        projects.edit(
            engine, project_id=study.project_id, revision=None, changes={"weight": weight}, actor=ACTOR
        )
    fleet, served = Fleet(engine, 1), Counter[int]()
    for _ in range(24):
        _a_second_later(engine)
        fleet.fill()
        served[fleet.end(0).trial.study_id] += 1
    first, second = (served[study.id] for study in made)
    assert first / second == pytest.approx(weights[0] / weights[1], rel=0.35)


def test_a_higher_priority_goes_first_in_its_own_project_only(engine: Engine) -> None:
    low = running_study(engine)
    high = beside(engine, low.project_id, name="high", priority=5)
    other = running_study(engine)
    fleet = Fleet(engine, 6)
    fleet.fill()
    assert fleet.studies() == {high.id: 3, other.id: 3}
    studies.edit(engine, study_id=high.id, changes={"parallel": 2}, actor=ACTOR)
    fleet.end([claim.trial.study_id for claim in fleet.held].index(high.id))
    fleet.fill()
    assert fleet.studies() == {high.id: 2, low.id: 1, other.id: 3}


def test_limits_of_study_and_project_hold(engine: Engine) -> None:
    first = running_study(engine, parallel=2)
    second = beside(engine, first.project_id, name="second")
    projects.edit(engine, project_id=first.project_id, revision=None, changes={"parallel": 5}, actor=ACTOR)
    fleet = Fleet(engine, 100)
    fleet.fill()
    assert fleet.studies() == {first.id: 2, second.id: 3}
    projects.edit(engine, project_id=first.project_id, revision=None, changes={"parallel": None}, actor=ACTOR)
    fleet.slots = 8
    fleet.fill()
    assert fleet.studies() == {first.id: 2, second.id: 6}


def test_a_paused_study_starts_nothing_and_a_reopened_one_goes_on(engine: Engine) -> None:
    study = running_study(engine, budget=3)
    fleet = Fleet(engine, 1)
    for state in ("paused", "finished"):
        studies.edit(engine, study_id=study.id, changes={"state": state}, actor=ACTOR)
        fleet.fill()
        assert fleet.held == []
    studies.edit(engine, study_id=study.id, changes={"state": "running", "budget": 5}, actor=ACTOR)
    fill(engine, study_id=study.id)
    fleet.fill()
    assert fleet.held[0].trial.number == 3  # the first three were stopped with the study


def test_a_job_goes_only_where_it_fits(engine: Engine) -> None:
    study = make_study(engine, launched=False, parallel=10)
    needs = {"gpus": 2, "labels": {"gpu": "h200", "zone": "a"}}
    template = templates.register(
        engine, project_id=study.project_id, name="two", argv=["x"], folder="/", resources=needs, actor=ACTOR
    )
    assert template.resources.queue == "trials.gpus=2,gpu:h200,zone:a"
    big = beside_template(engine, study.project_id, "two")
    fill(engine, study_id=big.id)
    labels = {"gpu": "h200", "zone": "a", "rack": "7"}

    def worker(**offered: object) -> int:
        return workers.register(engine, name=f"w{offered}", host="h", slots=4, actor=ACTOR, **offered).id  # type: ignore[arg-type]

    fits, wrong_zone, small = (
        worker(gpus=4, labels=labels),
        worker(gpus=4, labels={**labels, "zone": "b"}),
        worker(gpus=1, labels=labels),
    )
    assert workers.beat(engine, worker_id=fits).queues == (template.resources.queue,)
    assert workers.beat(engine, worker_id=wrong_zone).queues == ()
    assert workers.beat(engine, worker_id=small).queues == ()
    assert claims.claim_next(engine, worker_id=wrong_zone, key="a", gpus=4) is None
    assert claims.claim_next(engine, worker_id=small, key="a", gpus=1) is None
    assert claims.claim_next(engine, worker_id=fits, key="a", gpus=1) is None  # three are taken
    claim = claims.claim_next(engine, worker_id=fits, key="b", gpus=2)
    assert claim is not None
    assert claim.template == template


def test_a_job_that_does_not_say_gets_one_gpu_where_there_are_any(engine: Engine) -> None:
    running_study(engine)
    host = workers.register(engine, name="gpus", host="h", slots=4, gpus=2, actor=ACTOR).id
    assert claims.claim_next(engine, worker_id=host, key="a", gpus=0) is None
    assert claims.claim_next(engine, worker_id=host, key="a", gpus=1) is not None
    assert claims.claim_next(engine, worker_id=make_worker(engine), key="a", gpus=0) is not None


def test_a_loop_cannot_come_under_the_key_of_a_worker(engine: Engine) -> None:
    running_study(engine)
    taken = claims.claim_next(engine, worker_id=make_worker(engine), key="same")
    assert taken is not None
    client_id = taken.trial.client_id
    assert client_id is not None
    with pytest.raises(Invalid, match="keys of workers"):
        trials.ask(engine, study_id=taken.trial.study_id, client_id=client_id, actor=ACTOR)


def test_a_lost_answer_is_given_again(engine: Engine) -> None:
    running_study(engine)
    worker = make_worker(engine)
    first = claims.claim_next(engine, worker_id=worker, key="same")
    assert first is not None
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE trials SET lease_expires_at = now() + interval '1 s' WHERE epoch = 1")
        )
    again = claims.claim_next(engine, worker_id=worker, key="same")
    assert again is not None
    # Its fence is reckoned from the second request: a lease from the first would end before the fence.
    assert first.trial.lease_expires_at is not None
    assert again.trial.lease_expires_at is not None
    assert again.trial.lease_expires_at >= first.trial.lease_expires_at
    assert (again.trial.id, again.trial.epoch) == (first.trial.id, first.trial.epoch)
    assert again.token != first.token
    other = claims.claim_next(engine, worker_id=worker, key="other")
    assert other is not None
    assert other.trial.id != first.trial.id


def test_what_is_asked_for_wrongly_is_named(engine: Engine) -> None:
    study = running_study(engine)
    worker = make_worker(engine)
    with pytest.raises(Invalid, match="gpus"):
        claims.claim_next(engine, worker_id=worker, key="k", gpus=-1)
    with pytest.raises(NotFound):
        claims.claim_next(engine, worker_id=10**9, key="k")
    for field, value in (("weight", 0), ("weight", float("nan")), ("priority", 10**6), ("weight", "2")):
        with pytest.raises(Invalid) as refused:
            studies.edit(engine, study_id=study.id, changes={field: value}, actor=ACTOR)
        assert refused.value.field == field
    for wrong in ({"gpus": 1.5}, {"labels": {"a b": "c"}}, {"labels": {"a": 3}}, {"gpu": 1}):
        with pytest.raises(Invalid) as refused:
            templates.register(
                engine,
                project_id=study.project_id,
                name="t",
                argv=["x"],
                folder="/",
                resources=wrong,
                actor=ACTOR,
            )
        assert str(refused.value.field).startswith("resources")


def beside_template(engine: Engine, project_id: int, template: str) -> Study:
    design = StudyDesign(
        name="big",
        goal="",
        objective=Objective("loss"),
        space=SPACE,
        budget=10,
        parallel=10,
        template=template,
    )
    return studies.create(engine, project_id=project_id, design=design, actor=ACTOR)


def _a_second_later(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE studies SET last_claim_at = last_claim_at - interval '1 s'"))


def _stop(engine: Engine, made: Sequence[Study]) -> None:
    """Examples share a database."""
    for study in made:
        studies.edit(engine, study_id=study.id, changes={"state": "finished"}, actor=ACTOR)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM projects"))
