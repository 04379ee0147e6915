"""Generated trainings: their curves, and a study of them carried out through the services as by a loop."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine

from tunebook_server.domain.lifecycle import Claim
from tunebook_server.domain.study import Study, StudyDesign
from tunebook_server.domain.trial import Configuration
from tunebook_server.services import findings, metrics, projects, sampling, studies, trials

ACTOR = "user:owner"
PROJECT = "The playbook's figures"
STEPS = np.arange(1, 81, dtype=np.int64) * 250
START_ERROR = 0.95
EVALUATION_NOISE = 0.0001
ASKED_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Training:
    """Values at `STEPS`, of which the first NaN ends the run as infeasible."""

    loss: NDArray[np.float64]
    error: NDArray[np.float64]

    @property
    def diverged_at(self) -> int | None:
        lost = np.flatnonzero(np.isnan(self.loss))
        return int(lost[0]) if len(lost) else None


Rule = Callable[[Configuration, np.random.Generator], Training]
"""What a training with these values comes to."""


def learning(error: float, random: np.random.Generator) -> Training:
    """Falls from a guess to `error`, which is its best evaluation."""
    fall = np.exp(-9.0 * STEPS / STEPS[-1])
    values = error + (START_ERROR - error) * fall + EVALUATION_NOISE * random.random(len(STEPS))
    values += error - values.min()
    loss = 6.0 * (values - 0.6 * error) + 0.02 * random.standard_normal(len(STEPS))
    return Training(loss, values)


def exploding(training: Training, at: int) -> Training:
    """Falls steadily, jumps at this step, and stays up (the playbook's figure 7b)."""
    after = at <= STEPS
    return Training(
        np.where(after, 0.9 * training.loss[0], training.loss), np.where(after, START_ERROR, training.error)
    )


def diverging(training: Training, at: int) -> Training:
    after = at <= STEPS
    return Training(np.where(after, np.nan, training.loss), np.where(after, np.nan, training.error))


def stuck(random: np.random.Generator) -> Training:
    """Finishes, no better than a guess."""
    noise = random.random(len(STEPS))
    return Training(6.9 + 0.02 * noise, 0.99 + 0.005 * noise)


def carry_out(
    engine: Engine,
    document: Mapping[str, object],
    rule: Rule,
    *,
    repeats: int = 0,
    seed: int = 0,
) -> Study:
    """Creates the study, trains all of it, and computes its findings. `repeats`: how often the trial of the
    middle rank is trained again at the end, within the budget."""
    design = StudyDesign.parse(document)
    study = studies.create(engine, project_id=_project(engine), design=design, actor=ACTOR)
    random = np.random.default_rng(seed)
    bests: list[tuple[float, Configuration]] = []
    for count in _portions(design.budget - repeats):
        claims = trials.ask(engine, study_id=study.id, client_id="loop", count=count, actor=ACTOR)
        bests += [(_train(engine, claim, rule, random), claim.trial.parameters) for claim in claims]
    if repeats:
        middle = sorted(bests, key=lambda each: each[0])[len(bests) // 2][1]
        for _ in range(repeats):
            trials.enqueue(engine, study_id=study.id, parameters=middle, actor=ACTOR)
        claims = trials.ask(engine, study_id=study.id, client_id="loop", count=repeats, actor=ACTOR)
        for claim in claims:
            _train(engine, claim, rule, random)
    sampling.fill(engine, study_id=study.id)  # nothing is left to sample, so the study is finished
    findings.refresh(engine, study_id=study.id)
    return studies.get(engine, study_id=study.id)


def _project(engine: Engine) -> int:
    found = [each.project.id for each in projects.page(engine).items if each.project.name == PROJECT]
    goal = "What the playbook's figures show, in generated trials of the same shape"
    return found[0] if found else projects.create(engine, name=PROJECT, goal=goal, actor=ACTOR).id


def _portions(count: int) -> Sequence[int]:
    return [min(ASKED_AT_ONCE, count - done) for done in range(0, count, ASKED_AT_ONCE)]


def _train(engine: Engine, claim: Claim, rule: Rule, random: np.random.Generator) -> float:
    """The best error, infinite for an infeasible trial."""
    training, trial = rule(claim.trial.parameters, random), claim.trial
    lost = training.diverged_at
    end = len(STEPS) if lost is None else lost + 1
    series = {
        name: (STEPS[:end], values[:end])
        for name, values in (("train/loss", training.loss), ("valid/error", training.error))
    }
    metrics.report(
        engine,
        trial_id=trial.id,
        epoch=trial.epoch,
        sequence=0,
        series=series,
        content_hash=b"generated",
    )
    reason = "" if lost is None else f"the loss is not finite at step {STEPS[lost]}"
    state = "completed" if lost is None else "infeasible"
    trials.finish(engine, trial_id=trial.id, epoch=trial.epoch, state=state, reason=reason)
    return float(training.error.min()) if lost is None else np.inf
