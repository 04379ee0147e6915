"""Studies with a scheduler: who stops and who goes on, in the transaction of the report that tells."""

import math
import threading
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sqlalchemy import Engine, text

from tests.services.making import ACTOR, make_study, make_worker
from tunebook_server.domain.errors import Gone
from tunebook_server.domain.lifecycle import Claim
from tunebook_server.domain.objective import Objective
from tunebook_server.domain.schedulers import Kind
from tunebook_server.domain.schedulers.scheduler import Earlier
from tunebook_server.domain.study import Study
from tunebook_server.domain.trial import End, Trial, TrialState
from tunebook_server.services import (
    checkpoints,
    claims,
    leases,
    metrics,
    rungs,
    sampling,
    scheduling,
    studies,
    trials,
)

RUNGS = {"min_steps": 5, "max_steps": 200, "reduction_factor": 3}
TURNS = {"interval": 10, "max_steps": 100, "anew": 0.0}


def tell(engine: Engine, trial: Trial, steps: Sequence[int], values: Sequence[float]) -> End:
    """Whether the attempt is to end."""
    sequence = next(_sequences[trial.id, trial.epoch])
    accepted = metrics.report(
        engine,
        trial_id=trial.id,
        epoch=trial.epoch,
        sequence=sequence,
        series={"valid/error": (np.array(steps), np.array(values))},
        content_hash=str(sequence).encode(),
    )
    return accepted.end


class _Counter:
    def __init__(self) -> None:
        self.at = -1

    def __next__(self) -> int:
        self.at += 1
        return self.at


_sequences: defaultdict[tuple[int, int], _Counter] = defaultdict(_Counter)


def ask(engine: Engine, study: Study, client: str) -> Trial:
    (claim,) = trials.ask(engine, study_id=study.id, client_id=client, actor=ACTOR)
    return claim.trial


def stopped(engine: Engine, trial: Trial) -> Trial:
    return trials.finish(engine, trial_id=trial.id, epoch=trial.epoch, state="stopped", reason="cancelled")


def halving(engine: Engine, **more: object) -> Study:
    design = {"launched": False, "scheduler": "asha", "scheduler_options": RUNGS, "budget": 200}
    return make_study(engine, **{**design, **more})  # type: ignore[arg-type]


class TestHalving:
    def test_a_report_that_reaches_a_rung_says_who_stops(self, engine: Engine) -> None:
        study = halving(engine)
        first, second, third = (ask(engine, study, f"loop {place}") for place in range(3))
        assert first.decide_at == 5
        assert not tell(engine, first, [1, 2, 3, 4], [0.9, 0.8, 0.7, 0.6])
        assert not tell(engine, first, [5], [0.5])
        assert tell(engine, second, [2, 6], [0.8, 0.6])
        assert not tell(engine, third, [5, 6], [0.4, 0.7])
        with pytest.raises(Gone):
            trials.heartbeat(engine, trial_id=second.id, epoch=1)
        ended = stopped(engine, second)
        assert ended.state is TrialState.STOPPED
        assert ended.reason == "asha at step 5: 2 of 2 there, and 1 may go on"
        assert (ended.objective, ended.decision) == (0.6, "")
        assert trials.get(engine, trial_id=third.id).decide_at == 15

    def test_a_maximised_objective_and_values_that_are_no_numbers(self, engine: Engine) -> None:
        study = halving(engine, objective=Objective("valid/error", "maximize"))
        first, second, third = (ask(engine, study, f"loop {place}") for place in range(3))
        assert not tell(engine, first, [5], [0.5])
        assert tell(engine, second, [5], [0.4])
        assert tell(engine, third, [5], [math.nan])
        assert "not finite" in stopped(engine, third).reason

    def test_points_that_say_nothing_new_reach_a_rung_too(self, engine: Engine) -> None:
        """The way without a lock, for reports that change no objective, must not pass by a rung."""
        study = halving(engine)
        first, second = (ask(engine, study, f"loop {place}") for place in range(2))
        tell(engine, first, [5], [0.1])
        assert not tell(engine, second, [1], [0.5])
        assert not tell(engine, second, [2, 3], [0.6, 0.7])
        assert tell(engine, second, [5], [0.8])
        judged = rungs.judged(engine, studies.get(engine, study_id=study.id))
        assert [(each.step, each.loss) for each in judged] == [(5, 0.1), (5, 0.5)]

    def test_the_same_report_again_says_the_same(self, engine: Engine) -> None:
        study = halving(engine)
        first, second = (ask(engine, study, f"loop {place}") for place in range(2))
        tell(engine, first, [5], [0.1])
        for duplicate in (False, True):
            accepted = metrics.report(
                engine,
                trial_id=second.id,
                epoch=1,
                sequence=7,
                series={"valid/error": (np.array([5]), np.array([0.5]))},
                content_hash=b"x",
            )
            assert (accepted.end, accepted.duplicate) == (End.STOP, duplicate)

    def test_one_that_came_to_its_end_first_is_completed(self, engine: Engine) -> None:
        study = halving(engine)
        first, second = (ask(engine, study, f"loop {place}") for place in range(2))
        tell(engine, first, [5], [0.1])
        tell(engine, second, [5], [0.5])
        done = trials.finish(engine, trial_id=second.id, epoch=1, state="completed")
        assert (done.state, done.decision) == (TrialState.COMPLETED, "")

    def test_one_whose_job_dies_of_it_is_not_tried_again(self, engine: Engine) -> None:
        study = halving(engine)
        first, second = (ask(engine, study, f"loop {place}") for place in range(2))
        tell(engine, first, [5], [0.1])
        tell(engine, second, [5], [0.5])
        ended = trials.finish(engine, trial_id=second.id, epoch=1, state="failed", reason="killed")
        assert ended.state is TrialState.STOPPED

    def test_an_overwritten_curve_is_judged_by_what_it_is(self, engine: Engine) -> None:
        study = halving(engine)
        first, second = (ask(engine, study, f"loop {place}") for place in range(2))
        tell(engine, first, [5], [0.3])
        tell(engine, second, [1, 2], [0.1, 0.2])
        assert tell(engine, second, [1, 2, 5], [0.9, 0.8, 0.7])

    def test_decisions_of_many_at_once_are_those_of_one_after_another(self, engine: Engine) -> None:
        """Made again from what is stored, in its order, every decision is the same."""
        study = halving(engine, scheduler="hyperband", parallel=64)
        chance = np.random.default_rng(0)
        floor = chance.random(64)
        found = [ask(engine, study, f"loop {place}") for place in range(64)]
        barrier = threading.Barrier(8)

        def train(worker: int) -> None:
            barrier.wait()
            for place in range(worker, 64, 8):
                for step in range(1, 60):
                    if tell(engine, found[place], [step], [floor[place] + 1 / step]):
                        stopped(engine, found[place])
                        break
                else:
                    trials.finish(engine, trial_id=found[place].id, epoch=1, state="completed")

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(train, range(8)))
        study = studies.get(engine, study_id=study.id)
        scheduler, seen = study.scheduling(), defaultdict[tuple[int, int], list[tuple[float, bool]]](list)
        numbers = {trial.id: trial.number for trial in found}
        judged = rungs.judged(engine, study)
        for each in judged:
            there = seen[each.bracket, each.step]
            assert each.bracket == scheduler.bracket(numbers[each.trial_id])
            assert each.loss == floor[numbers[each.trial_id]] + 1 / each.step
            losses, went_on = np.array(there).reshape(-1, 2).T
            assert each.decision == scheduler.decide(each.loss, Earlier(losses, went_on == 1)).kind
            there.append((each.loss, each.decision == Kind.CONTINUE))
        gone = {each.trial_id for each in judged if each.decision == Kind.STOP}
        ended = trials.many(engine, trial_ids=list(numbers))
        assert {trial.id for trial in ended.values() if trial.state is TrialState.STOPPED} == gone
        assert 16 < len(gone) < 64

    def test_what_a_process_keeps_of_rungs_is_of_this_database(self, engine: Engine) -> None:
        """As where a backup is restored under a server that runs."""
        study = halving(engine)
        for place in range(3):
            tell(engine, ask(engine, study, f"loop {place}"), [5], [place / 8])
        assert [each.loss for each in rungs.judged(engine, study)] == [0.0, 0.125, 0.25]
        with engine.begin() as connection:
            connection.execute(
                text("DELETE FROM rungs WHERE loss > 0.2 AND study_id = :id"), {"id": study.id}
            )
        assert [each.loss for each in rungs.judged(engine, study)] == [0.0, 0.125]
        reached = rungs.reached(engine, study)
        assert reached is not None
        assert reached.losses.tolist() == [0.0, 0.125]

    def test_a_sampler_learns_from_the_highest_rung_with_enough(self, engine: Engine) -> None:
        study = halving(engine, scheduler="bohb", sampler="tpe", budget=60)
        for place in range(40):
            trial = ask(engine, study, f"loop {place}")
            loss = abs(math.log10(float(trial.parameters["learning_rate"]) / 0.01))
            for step in (5, 15, 45, 135):
                if tell(engine, trial, [step], [loss + 3 / step]):
                    stopped(engine, trial)
                    break
            else:
                trials.finish(engine, trial_id=trial.id, epoch=1, state="completed")
        reached = rungs.reached(engine, studies.get(engine, study_id=study.id))
        assert reached is not None
        assert len(reached) > 40


class TestPopulation:
    def study(self, engine: Engine, members: int = 8, **more: object) -> Study:
        options = {"scheduler": "pbt", "scheduler_options": TURNS, "budget": members, "parallel": members}
        study = make_study(engine, **{**options, **more})  # type: ignore[arg-type]
        sampling.fill(engine, study_id=study.id)
        return study

    def take(self, engine: Engine, worker_id: int) -> Claim:
        key = f"key {next(_keys)}"
        claim = claims.claim_next(engine, worker_id=worker_id, key=key, gpus=0, cpus=8)
        assert claim is not None
        return claim

    def turn(self, engine: Engine, claim: Claim, value: float) -> Trial:
        """Trains from where the claim says to the next rung, with a checkpoint there."""
        start = 0 if claim.resume is None else claim.resume.step
        trial, end = claim.trial, start + 10
        tells = tell(engine, trial, [end], [value])
        uri = f"/store/{trial.id}/{trial.epoch}/{end}"
        checkpoints.register(engine, trial_id=trial.id, epoch=trial.epoch, step=end, uri=uri)
        assert tells == (End.PAUSE if end < 100 else End.NOT)
        return stopped(engine, trial)

    def test_members_take_turns_and_those_that_lag_copy(self, engine: Engine) -> None:
        self.study(engine)
        worker = make_worker(engine)
        first = [self.take(engine, worker) for _ in range(2)]
        assert [claim.trial.number for claim in first] == [0, 1]
        for claim in first:
            paused = self.turn(engine, claim, 0.1 + claim.trial.number)
            assert (paused.state, paused.turn, paused.attempts) == (TrialState.QUEUED, 10, 0)
            assert paused.cancel_requested_at is None
        for number in range(2, 8):
            claim = self.take(engine, worker)
            assert claim.trial.number == number
            self.turn(engine, claim, 0.1 + number)
        again = [self.take(engine, worker) for _ in range(8)]
        assert [claim.trial.number for claim in again] == list(range(8))
        own = {claim.trial.id: claim for claim in again}
        for claim in again[:6]:
            assert claim.resume is not None
            assert (claim.resume.trial_id, claim.resume.step) == (claim.trial.id, 10)
        for claim in again[6:]:
            assert claim.resume is not None
            leader = own[claim.resume.trial_id].trial
            assert leader.number in (0, 1)
            rates = float(claim.trial.parameters["learning_rate"]), float(leader.parameters["learning_rate"])
            assert round(max(rates) / min(rates), 6) == 1.25 or max(rates) == 1.0  # the end of the range
            (*_, attempt) = trials.attempts(engine, trial_id=claim.trial.id)
            assert (attempt.resumed_from_trial_id, attempt.resumed_from_step) == (leader.id, 10)
            assert attempt.parameters == claim.trial.parameters

    def test_a_model_of_gains_chooses_the_values_of_a_copy(self, engine: Engine) -> None:
        self.study(engine, scheduler_options={**TURNS, "explore": "model"})
        worker = make_worker(engine)
        for turn in range(3):
            claims_ = [self.take(engine, worker) for _ in range(8)]
            for claim in claims_:
                rate = float(claim.trial.parameters["learning_rate"])
                self.turn(engine, claim, (5 - turn) * (1 + abs(math.log10(rate / 0.01))))
        *_, copy = [self.take(engine, worker) for _ in range(8)]
        copies = [
            attempt.parameters
            for trial in trials.page(engine, study_id=copy.trial.study_id).items
            for attempt in trials.attempts(engine, trial_id=trial.trial.id)
            if attempt.resumed_from_trial_id is not None and attempt.resumed_from_step == 30
        ]
        assert copies
        assert all(parameters is not None for parameters in copies)

    def test_one_that_trains_past_a_rung_before_it_hears_is_judged_at_the_last(self, engine: Engine) -> None:
        study = self.study(engine)
        claim = self.take(engine, make_worker(engine))
        assert tell(engine, claim.trial, [10, 20, 31], [0.3, 0.2, 0.1]) is End.PAUSE
        assert stopped(engine, claim.trial).turn == 30
        judged = rungs.judged(engine, studies.get(engine, study_id=study.id))
        assert [(each.step, each.loss) for each in judged] == [(10, 0.3), (20, 0.2), (30, 0.1)]

    def test_a_copy_that_is_lost_goes_on_from_there_again(self, engine: Engine) -> None:
        study, worker = self.study(engine, 4), make_worker(engine)
        for _ in range(4):
            claim = self.take(engine, worker)
            self.turn(engine, claim, float(claim.trial.number))
        *_, copy = [self.take(engine, worker) for _ in range(4)]
        assert copy.resume is not None
        leader = copy.resume.trial_id
        assert leader != copy.trial.id
        self._expire(engine, copy.trial)
        again = self.take(engine, worker)
        assert again.trial.id == copy.trial.id
        assert again.trial.parameters == copy.trial.parameters
        assert again.resume == copy.resume
        self.turn(engine, again, 0.5)
        (*_, at_last) = [self.take(engine, worker)]
        assert at_last.resume is not None
        assert (at_last.resume.trial_id, at_last.resume.step) == (copy.trial.id, 20)
        assert studies.get(engine, study_id=study.id).counts["queued"] == 0

    def test_a_checkpoint_stays_as_long_as_a_copy_needs_it(self, engine: Engine) -> None:
        self.study(engine, 4)
        worker = make_worker(engine)
        for _ in range(4):
            claim = self.take(engine, worker)
            self.turn(engine, claim, float(claim.trial.number))
        leader, *_, copy = [self.take(engine, worker) for _ in range(4)]
        assert copy.resume is not None
        assert copy.resume.trial_id == leader.trial.id
        self.turn(engine, leader, -1.0)
        leader = self.take(engine, worker)
        self.turn(engine, leader, -2.0)
        kept = {row.checkpoint.step: row for row in checkpoints.page(engine, trial_id=leader.trial.id).items}
        assert (kept[10].state, kept[10].reason) == ("keep", "another trial goes on from it")
        self.turn(engine, copy, 0.5)
        leader = self.take(engine, worker)
        self.turn(engine, leader, -3.0)
        kept = {row.checkpoint.step: row for row in checkpoints.page(engine, trial_id=leader.trial.id).items}
        assert kept[10].state == "removing"

    def test_a_person_who_cancels_is_heard_before_the_scheduler(self, engine: Engine) -> None:
        self.study(engine)
        claim = self.take(engine, make_worker(engine))
        assert tell(engine, claim.trial, [10], [0.1])
        trials.cancel(engine, trial_id=claim.trial.id, actor=ACTOR)
        ended = stopped(engine, claim.trial)
        assert (ended.state, ended.reason) == (TrialState.STOPPED, "cancelled")

    def test_a_cancel_just_before_a_rung_is_heard(self, engine: Engine) -> None:
        self.study(engine)
        claim = self.take(engine, make_worker(engine))
        assert not tell(engine, claim.trial, [9], [0.1])
        trials.cancel(engine, trial_id=claim.trial.id, actor=ACTOR)
        assert tell(engine, claim.trial, [10], [0.1]) is End.STOP
        ended = stopped(engine, claim.trial)
        assert (ended.state, ended.reason) == (TrialState.STOPPED, "cancelled")

    def test_nobody_waits_in_a_study_that_was_finished(self, engine: Engine) -> None:
        study = self.study(engine, 4)
        worker = make_worker(engine)
        paused, lost = self.take(engine, worker), self.take(engine, worker)
        studies.edit(engine, study_id=study.id, changes={"state": "finished"}, actor=ACTOR)
        ended = self.turn(engine, paused, 0.1)
        assert (ended.state, ended.reason) == (TrialState.STOPPED, "the study was finished")
        self._run_out(engine, lost.trial)
        assert lost.trial.id in leases.sweep(engine).stopped
        counts = studies.get(engine, study_id=study.id).counts
        assert (counts["stopped"], counts["queued"]) == (4, 0)

    def test_a_copy_trains_a_whole_turn_from_where_its_leader_was(self, engine: Engine) -> None:
        study, worker = self.study(engine, 4), make_worker(engine)
        claim = self.take(engine, worker)
        for turn in range(3):  # alone, because the others wait for a place
            self.turn(engine, claim, -1.0 - turn)
            claim = claims.claim(engine, trial_id=claim.trial.id, worker_id=worker)
        leader = claim.trial.id
        rest = [self.take(engine, worker) for _ in range(3)]
        for place, each in enumerate(rest):
            self.turn(engine, each, float(place))
        before = rungs.judged(engine, studies.get(engine, study_id=study.id))
        assert {each.decision for each in before} == {"pause", "resume"}
        *_, copy = [self.take(engine, worker) for _ in range(3)]
        assert copy.resume is not None
        assert (copy.resume.trial_id, copy.resume.step, copy.trial.decide_at) == (leader, 30, 40)
        judged = rungs.judged(engine, studies.get(engine, study_id=study.id))
        assert [each.decision for each in judged if each.trial_id == copy.trial.id] == ["copy"]

    def test_what_a_copy_gained_is_counted_from_its_leader(self, engine: Engine) -> None:
        study, worker = self.study(engine, 4), make_worker(engine)
        values = {number: float(number) for number in range(4)}
        for _ in range(2):
            for _ in range(4):
                claim = self.take(engine, worker)
                if claim.resume is not None:
                    values[claim.trial.number] = values[self._number(engine, claim.resume.trial_id)]
                self.turn(engine, claim, values[claim.trial.number])
        assert values == {0: 0.0, 1: 1.0, 2: 2.0, 3: 0.0}
        with engine.begin() as connection:
            study = studies.get(engine, study_id=study.id)
            gains = scheduling.gains(connection, study, 0)
        assert [gain.change for gain in gains] == [0.0] * 4

    def test_a_rewritten_curve_is_judged_by_its_last_value(self, engine: Engine) -> None:
        study = self.study(engine)
        claim = self.take(engine, make_worker(engine))
        assert not tell(engine, claim.trial, [4, 8], [0.1, 0.2])
        assert tell(engine, claim.trial, [8, 10], [0.3, 0.4]) is End.PAUSE
        judged = rungs.judged(engine, studies.get(engine, study_id=study.id))
        assert [each.loss for each in judged] == [0.4]

    def test_one_that_is_lost_while_it_pauses_takes_its_turn_again(self, engine: Engine) -> None:
        self.study(engine)
        claim = self.take(engine, make_worker(engine))
        assert tell(engine, claim.trial, [10], [0.1])
        self._expire(engine, claim.trial)
        lost = trials.get(engine, trial_id=claim.trial.id)
        assert (lost.state, lost.cancel_requested_at, lost.attempts) == (TrialState.QUEUED, None, 1)
        assert lost.turn == 10

    def _expire(self, engine: Engine, trial: Trial) -> None:
        self._run_out(engine, trial)
        assert trial.id in leases.sweep(engine).requeued

    def _run_out(self, engine: Engine, trial: Trial) -> None:
        with engine.begin() as connection:
            connection.execute(
                text("UPDATE trials SET lease_expires_at = now() - interval '1 s' WHERE id = :id"),
                {"id": trial.id},
            )

    def _number(self, engine: Engine, trial_id: int) -> int:
        return trials.get(engine, trial_id=trial_id).number


_keys = _Counter()
