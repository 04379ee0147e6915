"""A study's trials as a sampler sees them, one suggestion after another as the service asks for them."""

import json
from collections.abc import Callable

import numpy as np
import pytest

from tunebook_server.domain.objective import Objective
from tunebook_server.domain.samplers import sampler
from tunebook_server.domain.samplers.bayesian import learned
from tunebook_server.domain.samplers.columns import columns
from tunebook_server.domain.samplers.history import Fate, History
from tunebook_server.domain.samplers.proposals import near
from tunebook_server.domain.samplers.recorded import recorded
from tunebook_server.domain.search_space import SearchSpace
from tunebook_server.domain.trial import Configuration
from tunebook_server.domain.trial_columns import TrialColumns, columns_by_key, state_code

Outcome = tuple[str, float]
LEARNERS = ["bayesian", "tpe", "cma_es"]
WIDTHS = SearchSpace.parse(
    [
        {"name": "layers", "type": "integer", "low": 1, "high": 8},
        {"name": "width", "type": "categorical", "choices": [64, 128, 256, 512]},
        {"name": "norm", "type": "boolean"},
    ]
)


def trials(
    space: SearchSpace,
    configurations: list[Configuration],
    outcomes: list[Outcome],
    finished_at: list[float] | None = None,
) -> TrialColumns:
    numbers = np.arange(len(configurations))
    return TrialColumns(
        ids=numbers + 1,
        numbers=numbers,
        states=np.array([state_code(state) for state, _ in outcomes], np.int8),
        objective=np.array([loss for _, loss in outcomes], np.float64),
        best_step=np.ones(len(numbers)),
        last_step=np.ones(len(numbers)),
        values=columns_by_key(space, configurations),
        finished_at=np.array(finished_at if finished_at is not None else numbers, np.float64),
    )


def searched(
    name: str, space: SearchSpace, count: int, outcome: Callable[[Configuration], Outcome], seed: int = 0
) -> list[Configuration]:
    """One trial after another, each of which ends before the next is asked for."""
    configurations: list[Configuration] = []
    outcomes: list[Outcome] = []
    for index in range(count):
        history = recorded(trials(space, configurations, outcomes), space, Objective("loss"))
        (found,) = sampler(name, {}).suggest(space, seed=seed, index=index, count=1, history=history)
        configurations.append(found)
        outcomes.append(outcome(found))
    return configurations


def distinct(configurations: list[Configuration]) -> int:
    return len({json.dumps(each, sort_keys=True) for each in configurations})


@pytest.mark.parametrize("name", LEARNERS)
def test_what_failed_is_not_suggested_again(name: str) -> None:
    def outcome(found: Configuration) -> Outcome:
        if float(found["layers"]) >= 7 and float(found["width"]) >= 256:
            return "failed", np.nan
        return "completed", -float(found["layers"]) - float(found["width"]) / 64

    assert distinct(searched(name, WIDTHS, 30, outcome)) == 30


@pytest.mark.parametrize("name", LEARNERS)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_small_space_is_tried_whole_before_anything_twice(name: str, seed: int) -> None:
    """The quasi-random trials too; one of its hyperparameters has one value, and not always a part."""
    space = SearchSpace.parse(
        [
            {"name": "optimizer", "type": "categorical", "choices": ["sgd", "adam"]},
            {
                "name": "schedule",
                "type": "categorical",
                "choices": ["cosine"],
                "when": {"optimizer": ["adam"]},
            },
            {"name": "layers", "type": "integer", "low": 1, "high": 8},
        ]
    )
    chance = np.random.default_rng(seed)
    assert distinct(searched(name, space, 16, lambda _: ("completed", chance.random()), seed)) == 16


def test_rows_are_in_the_order_in_which_trials_ended() -> None:
    found: list[Configuration] = [{"layers": place, "width": 64, "norm": False} for place in range(1, 6)]
    outcomes = [
        ("completed", 0.1),
        ("running", 0.2),
        ("failed", 0.3),
        ("completed", np.nan),
        ("stopped", 0.5),
    ]
    columns_ = trials(WIDTHS, found, outcomes, [50.0, np.nan, 20.0, 40.0, 10.0])
    history = recorded(columns_, WIDTHS, Objective("loss"))
    fates = [Fate.STOPPED, Fate.ASIDE, Fate.INFEASIBLE, Fate.FINISHED, Fate.PENDING]
    assert history.fates.tolist() == fates
    assert np.round(history.points[:, 0] * 8 + 0.5).tolist() == [5, 3, 4, 1, 2]
    assert history.losses[history.valued].tolist() == [0.5, 0.1]


def test_neighbours_of_what_lies_outside_lie_inside() -> None:
    """After a range was narrowed."""
    space = SearchSpace.parse(
        [{"name": name, "type": "float", "low": 0.0, "high": 0.5} for name in ("a", "b")]
    )
    centres = np.array([[1.6, 0.2], [0.4, -0.7]])
    chance = np.random.default_rng(0)
    found = near(columns(space), chance, centres, 200, smallest=0.01, largest=0.3)
    assert found.min() >= 0
    assert found.max() <= 1


def test_an_infeasible_region_is_remembered_however_many_came_since() -> None:
    space = SearchSpace.parse([{"name": "x", "type": "float", "low": 0.0, "high": 1.0}])
    chance = np.random.default_rng(0)
    points = np.concatenate([chance.uniform(0.5, 1, 30), chance.uniform(0, 0.5, 400)])[:, None]
    fates = np.where(points[:, 0] > 0.5, Fate.INFEASIBLE, Fate.FINISHED).astype(np.int8)
    losses = np.where(points[:, 0] > 0.5, np.nan, points[:, 0])
    models = learned(columns(space), History(points, losses, fates))
    assert models.feasible is not None
    bad, good = models.feasible.mean_at(models.feasible.inputs.rows(np.array([0, -1])))
    assert bad < models.threshold < good
