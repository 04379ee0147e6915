"""What the checklist says of real trainings: each finding of curves, caused and not caused."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest

from tests.findings.record_studies import RECORDED, SEEDS, STUDIES, RealStudy
from tunebook_server.domain.chunk import Points
from tunebook_server.domain.findings import CHECKLIST, Results
from tunebook_server.domain.objective import Objective
from tunebook_server.domain.search_space import SearchSpace
from tunebook_server.domain.trial_columns import TrialColumns, columns_by_key, state_code

EXPECTED = [
    ("overfitting", "no regularisation", "warn"),
    ("overfitting", "weight decay", "pass"),
    ("overfitting", "healthy", "pass"),
    ("late variance", "batches of 16", "warn"),
    ("late variance", "batches of 64, decayed rate", "pass"),
    ("late variance", "healthy", "pass"),
    ("still improving", "600 slow steps", "warn"),
    ("still improving", "4,000 fast steps", "pass"),
    ("still improving", "healthy", "pass"),
    ("saturated early", "4,000 fast steps", "warn"),
    ("saturated early", "600 slow steps", "pass"),
    ("saturated early", "healthy", "pass"),
    ("training loss rises", "wrong sign", "fail"),
    ("training loss rises", "right sign", "pass"),
    ("training loss rises", "wrong schedule", "fail"),
    ("training loss rises", "healthy", "pass"),
    ("instability", "momentum of 0.99", "warn"),
    ("instability", "momentum of 0.9", "pass"),
    ("instability", "60 steps", "warn"),
    ("instability", "Adam", "pass"),
    ("instability", "healthy", "pass"),
]


@cache
def recorded() -> Any:
    return json.loads(RECORDED.read_text())


def results(name: str, seed: int) -> Results:
    """The study as it stands when its last trial has ended, with the curves of all of its trials."""
    real = STUDIES[name]
    trials = recorded()[name][str(seed)]
    curves = [_curves(real, trial["values"]) for trial in trials]
    space = SearchSpace.parse(real.space())
    objective = Objective("valid/loss", evaluation=real.evaluation)  # type: ignore[arg-type]
    infeasible = np.array([trial["infeasible"] for trial in trials])
    ended = [found["valid/loss"] for found in curves]
    counted = [points.values.argmin() if real.evaluation == "best" else -1 for points in ended]
    numbers = np.arange(len(trials))
    columns = TrialColumns(
        numbers + 1_000,
        numbers,
        np.where(infeasible, state_code("infeasible"), state_code("completed")).astype(np.int8),
        _of_feasible(infeasible, [points.values[at] for points, at in zip(ended, counted, strict=True)]),
        _of_feasible(infeasible, [points.steps[at] for points, at in zip(ended, counted, strict=True)]),
        np.array([points.steps[-1] for points in ended], dtype=float),
        columns_by_key(space, real.configurations()),
        numbers.astype(np.float64),
    )
    by_id = dict(zip(columns.ids.tolist(), curves, strict=True))
    return Results(objective, space, len(trials), columns, curves=by_id, seed=seed)


def _curves(real: RealStudy, values: Mapping[str, Sequence[float]]) -> dict[str, Points]:
    every = int(real.fixed["evaluate_every"])
    return {
        metric: Points(every * np.arange(len(column), dtype=np.int64), np.array(column, dtype=float))
        for metric, column in values.items()
    }


def _of_feasible(infeasible: Any, values: Sequence[Any]) -> Any:
    return np.where(infeasible, np.nan, np.array(values, dtype=float))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("item", "name", "verdict"), EXPECTED)
def test_real_trainings_get_the_verdict_of_their_settings(
    item: str, name: str, verdict: str, seed: int
) -> None:
    found = CHECKLIST[item](results(name, seed))
    assert {str(finding.verdict) for finding in found} == {verdict}, [each.sentence for each in found]


def test_every_finding_of_curves_has_a_cause_and_a_control() -> None:
    for item in {item for item, _, _ in EXPECTED}:
        assert len({verdict for each, _, verdict in EXPECTED if each == item}) == 2
    assert {name for _, name, _ in EXPECTED} == set(STUDIES) == set(recorded())
