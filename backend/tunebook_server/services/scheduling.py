"""What a study's scheduler decides: when an evaluation arrives, and when a paused trial's turn has come.

Each decision is part of the transaction that called for it. The study's row is locked before anything is
looked at, so that decisions of a study come one after another, and can be made again from what is stored.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain, pairwise

import numpy as np

from tunebook_server.domain.chunk import Points
from tunebook_server.domain.curve import Score
from tunebook_server.domain.schedulers import Kind, Scheduler, bandit
from tunebook_server.domain.schedulers.evaluations import Arrival, arrivals, as_loss
from tunebook_server.domain.schedulers.perturbing import perturbed
from tunebook_server.domain.schedulers.population import Population
from tunebook_server.domain.study import Study
from tunebook_server.domain.trial import Trial, Value
from tunebook_server.storage import checkpoints, evaluations, rungs, stretches, studies, trials
from tunebook_server.storage.engine import Connection
from tunebook_server.storage.metrics import Target
from tunebook_server.storage.rungs import Rung
from tunebook_server.storage.stretches import Trained

ATTEMPTS_SEEN = 2_000
STREAM = 11
"""Keeps the random numbers of copies apart from those of samplers with the same seed."""


def is_due(target: Target, last_step: int | None) -> bool:
    """Whether a trial whose evaluations have come to `last_step` is to be judged."""
    return target.decide_at is not None and last_step is not None and last_step >= target.decide_at


def judge(connection: Connection, target: Target, now: Score, added: Points | None) -> Target:
    """Judges a trial at the rungs that it has reached. Its row is locked, its study's is from here on.

    `target`: as it was before the report. `added`: what the report adds to the curve of the objective;
    None where it rewrites it: then all that is left to judge by is the objective as it is `now`.
    """
    study = studies.lock(connection, target.study_id)
    assert study is not None
    assert target.decide_at is not None
    scheduler = study.scheduling()
    bracket = scheduler.bracket(target.number)
    if added is not None:
        found, after = arrivals(
            scheduler,
            bracket=bracket,
            decide_at=target.decide_at,
            objective=target.objective,
            before=target.score,
            evaluations=added,
        )
    else:
        assert now.last_step is not None
        rung = scheduler.last_rung(bracket, now.last_step) or target.decide_at
        found = [Arrival(rung, _rewritten(connection, target, now, scheduler))]
        after = scheduler.next_rung(bracket, now.last_step)
    for arrival in found:
        if _decide(connection, study, target, bracket, arrival) is Kind.STOP:
            after = None
            break
    trials.judged(connection, target.trial_id, after)
    return replace(target, decide_at=after)


def resume(connection: Connection, study: Study, trial: Trial) -> Trial:
    """A paused trial's turn has come: it goes on from its own checkpoint, or from one of a trial that leads.

    The trial has just been taken, its study's row is locked. Nothing happens to one that was judged already.
    """
    scheduler = study.scheduling()
    if not isinstance(scheduler, Population):
        return trial
    step = rungs.settle(connection, trial.id, "resume")
    if step is None:
        return trial
    members = rungs.members(connection, study_id=study.id, upto=step)
    own = next((each for each in members if each.trial_id == trial.id), None)
    others = [each for each in members if each.trial_id != trial.id]
    chance = np.random.default_rng(np.random.SeedSequence(study.seed, spawn_key=(STREAM, trial.number, step)))
    parent = scheduler.parent(own, others, chance) if own is not None else None
    leader = trials.get(connection, parent.trial_id) if parent is not None else None
    checkpoint = checkpoints.last(connection, leader) if leader is not None else None
    if leader is None or checkpoint is None or not checkpoints.hold(connection, checkpoint.id):
        return trial
    values = _explored(
        connection, study, scheduler, leader=leader, number=trial.number, step=step, chance=chance
    )
    rungs.mark(connection, trial.id, step, "copy")
    return trials.copy(
        connection,
        trial,
        parameters=values,
        space_version=study.space_version,
        checkpoint_id=checkpoint.id,
        decide_at=scheduler.next_rung(scheduler.bracket(trial.number), max(step, checkpoint.step)),
    )


def _explored(
    connection: Connection,
    study: Study,
    scheduler: Population,
    *,
    leader: Trial,
    number: int,
    step: int,
    chance: np.random.Generator,
) -> dict[str, Value]:
    found = None
    if scheduler.explore == "model":
        place = step // scheduler.interval * study.budget + number
        recent = gains(connection, study, step - bandit.RUNGS_SEEN * scheduler.interval)
        found = bandit.modelled(
            study.space, leader.parameters, recent, kept=scheduler.kept, seed=study.seed, place=place
        )
    return found or perturbed(study.space, leader.parameters, scheduler, chance)


def gains(connection: Connection, study: Study, since: int) -> list[bandit.Gain]:
    """From each rung to the next, with the values of the attempt that trained there."""
    trained: dict[int, list[Trained]] = defaultdict(list)
    for each in stretches.of_study(connection, study.id, ATTEMPTS_SEEN, since=since):
        trained[each.trial_id].append(each)
    judged: dict[int, list[Rung]] = defaultdict(list)
    for rung in rungs.of_study(connection, study.id, since):
        judged[rung.trial_id].append(rung)
    found = []
    for before, now in chain.from_iterable(map(pairwise, judged.values())):
        by = [each for each in trained[now.trial_id] if each.first_step < now.step <= each.last_step]
        start = _start(by[-1], before, judged) if by else None
        if start is not None:
            found.append(bandit.Gain(by[-1].parameters, now.step, now.loss - start))
    return found


def _start(attempt: Trained, before: Rung, judged: Mapping[int, Sequence[Rung]]) -> float | None:
    """The loss that an attempt began with: of a copy its parent's, where that is still known."""
    if attempt.parent_id is None or attempt.first_step < before.step:
        return before.loss
    return max(
        ((each.step, each.loss) for each in judged[attempt.parent_id] if each.step <= attempt.first_step),
        default=(0, None),
    )[1]


def _rewritten(connection: Connection, target: Target, now: Score, scheduler: Scheduler) -> float:
    metric = target.objective.metric
    last = as_loss(target.objective, evaluations.last_values(connection, target.trial_id, [metric])[metric])
    return last if scheduler.copies or not np.isfinite(last) else as_loss(target.objective, now.objective)


def _decide(connection: Connection, study: Study, target: Target, bracket: int, arrival: Arrival) -> Kind:
    earlier = rungs.earlier(connection, study_id=study.id, bracket=bracket, step=arrival.rung)
    decision = study.scheduling().decide(arrival.loss, earlier)
    rungs.add(
        connection,
        study_id=study.id,
        trial_id=target.trial_id,
        bracket=bracket,
        step=arrival.rung,
        loss=arrival.loss,
        decision=decision.kind.value,
    )
    if decision.kind is not Kind.CONTINUE:
        reason = f"{study.scheduler} at step {arrival.rung:,}: {decision.reason}"
        trials.decide(
            connection,
            target.trial_id,
            decision=decision.kind.value,
            reason=reason,
            turn=arrival.rung if decision.kind is Kind.PAUSE else 0,
        )
    return decision.kind
