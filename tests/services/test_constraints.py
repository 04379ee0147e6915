"""Trials that end outside of their study's constraints."""

import numpy as np
import pytest
from sqlalchemy import Engine

from tests.services.making import ACTOR, make_study
from tunebook_server.domain.constraint import Constraint
from tunebook_server.domain.trial import TrialState
from tunebook_server.services import metrics, studies, trials

BOUNDS = (Constraint("ms", high=100.0), Constraint("recall", low=0.9))


@pytest.mark.parametrize(
    ("last", "state", "reason"),
    [
        ({"ms": 100.0, "recall": 0.9}, TrialState.COMPLETED, ""),
        ({"ms": 130.0, "recall": 0.95}, TrialState.INFEASIBLE, "ms is 130 at the end, above 100"),
        (
            {"ms": 130.0, "recall": 0.5},
            TrialState.INFEASIBLE,
            "ms is 130 at the end, above 100; recall is 0.5 at the end, below 0.9",
        ),
        (
            {"ms": 10.0},
            TrialState.FAILED,
            "ended without a value of recall, which is constrained (it reported ms, valid/error)",
        ),
    ],
)
def test_the_last_values_decide(
    engine: Engine, last: dict[str, float], state: TrialState, reason: str
) -> None:
    study = make_study(engine, launched=False, constraints=BOUNDS)
    assert studies.get(engine, study_id=study.id).constraints == BOUNDS
    (claim,) = trials.ask(engine, study_id=study.id, client_id="loop", actor=ACTOR)
    series = {name: (np.array([1, 2]), np.array([50.0, value])) for name, value in last.items()}
    series["valid/error"] = (np.array([1, 2]), np.array([0.2, 0.1]))
    metrics.report(engine, trial_id=claim.trial.id, epoch=1, sequence=0, series=series, content_hash=b"1")
    ended = trials.finish(engine, trial_id=claim.trial.id, epoch=1, state="completed")
    assert (ended.state, ended.reason) == (state, reason)
    best = studies.get(engine, study_id=study.id).best_trial_id
    assert (best == claim.trial.id) == (state is TrialState.COMPLETED)
