"""Trials of an earlier study in a later space: what keeps its place, what moves, and what is left out."""

import numpy as np
import pytest

from tunebook_server.domain.objective import Objective
from tunebook_server.domain.samplers import sampler
from tunebook_server.domain.samplers.history import Fate, nothing
from tunebook_server.domain.samplers.warm_start import TRIALS_MOST, after, carried
from tunebook_server.domain.search_space import SearchSpace
from tunebook_server.domain.trial import Configuration
from tunebook_server.domain.trial_columns import STATES, TrialColumns, columns_by_key

ERROR = Objective("valid/error", "maximize")
BEFORE = SearchSpace.parse(
    [
        {"name": "optimizer", "type": "categorical", "choices": ["sgd", "adam"], "role": "scientific"},
        {"name": "rate", "type": "float", "low": 1e-4, "high": 1.0, "scale": "log"},
        {"name": "layers", "type": "integer", "low": 1, "high": 4},
        {"name": "width", "type": "fixed", "value": 64},
    ]
)
LATER = SearchSpace.parse(
    [
        {"name": "optimizer", "type": "categorical", "choices": ["adam", "lion"], "role": "scientific"},
        {
            "name": "rate",
            "type": "float",
            "low": 1e-3,
            "high": 1.0,
            "scale": "log",
            "when": {"optimizer": ["adam"]},
        },
        {"name": "layers", "type": "integer", "low": 1, "high": 8},
        {"name": "width", "type": "integer", "low": 16, "high": 256, "scale": "log"},
        {"name": "dropout", "type": "float", "low": 0.0, "high": 0.9},
    ]
)


def trials(
    configurations: list[Configuration],
    states: list[str],
    objective: list[float],
    space: SearchSpace = BEFORE,
) -> TrialColumns:
    count = len(configurations)
    numbers = np.arange(count)
    return TrialColumns(
        ids=numbers + 1,
        numbers=numbers,
        states=np.array([[str(state) for state in STATES].index(state) for state in states], np.int8),
        objective=np.array(objective, np.float64),
        best_step=np.ones(count),
        last_step=np.ones(count),
        values=columns_by_key(space, configurations),
        finished_at=numbers.astype(np.float64),
    )


def adam(rate: float, layers: int = 2) -> Configuration:
    return {"optimizer": "adam", "rate": rate, "layers": layers, "width": 64}


def test_values_keep_their_meaning_in_another_space() -> None:
    found = carried(LATER, BEFORE, trials([adam(1e-2, 3)], ["completed"], [0.7]), ERROR)
    assert found.losses.tolist() == [-0.7]
    (point,) = found.points
    expected = LATER.to_unit({"optimizer": "adam", "rate": 1e-2, "layers": 3, "width": 64})
    assert np.allclose(point[:4], expected[:4])
    assert np.isnan(point[4])


def test_what_has_no_place_or_says_nothing_is_left_out() -> None:
    configurations = [
        adam(1e-2),
        adam(1e-4),
        {**adam(1e-2), "optimizer": "sgd"},
        adam(0.1),
        adam(0.5),
        adam(1),
    ]
    states = ["completed", "completed", "completed", "infeasible", "failed", "running"]
    found = carried(LATER, BEFORE, trials(configurations, states, [0.5, 0.6, 0.7, np.nan, 0.9, 0.1]), ERROR)
    assert found.fates.tolist() == [Fate.FINISHED, Fate.INFEASIBLE]
    assert found.losses[0] == -0.5
    assert np.isnan(found.losses[1])


def test_what_is_inactive_later_has_no_range_to_lie_in() -> None:
    later = SearchSpace.parse(
        [
            {"name": "optimizer", "type": "categorical", "choices": ["adam", "lion"]},
            {"name": "rate", "type": "float", "low": 1e-3, "high": 1.0, "scale": "log",
             "when": {"optimizer": ["adam"]}},
            {"name": "rate", "type": "float", "low": 1e-9, "high": 1e-8, "scale": "log",
             "when": {"optimizer": ["lion"]}},
        ]
    )  # fmt: skip
    before = SearchSpace.parse(
        [
            {"name": "optimizer", "type": "categorical", "choices": ["adam", "sgd"]},
            {"name": "rate", "type": "float", "low": 0.0, "high": 1.0},
        ]
    )
    tried: list[Configuration] = [{"optimizer": "adam", "rate": rate} for rate in (0.01, 0.0, 0.5)]
    columns_ = trials(tried, ["completed"] * 3, [0.1, 0.2, 0.3], before)
    found = carried(later, before, columns_, ERROR, np.array([[1.0], [2.0], [3.0]]))
    assert found.losses.tolist() == [-0.1, -0.3]  # zero has no place on a log scale
    assert found.others is not None
    assert found.others[:, 0].tolist() == [1.0, 3.0]


def test_of_many_the_best_and_the_newest_are_taken() -> None:
    count = 3 * TRIALS_MOST
    values = np.random.default_rng(0).random(count)
    found = carried(
        LATER, BEFORE, trials([adam(1e-2)] * count, ["completed"] * count, values.tolist()), ERROR
    )
    assert len(found) == TRIALS_MOST
    assert -found.losses.min() == values.max()
    assert found.losses[-1] == -values[-1]


@pytest.mark.parametrize("name", ["bayesian", "tpe", "cma_es"])
def test_a_sampler_that_knows_much_begins_where_it_was_good(name: str) -> None:
    chance = np.random.default_rng(1)
    rates = 10.0 ** chance.uniform(-3, 0, 60)
    losses = -np.abs(np.log10(rates / 0.03))
    earlier = trials([adam(float(rate)) for rate in rates], ["completed"] * 60, losses.tolist())
    history = after([carried(LATER, BEFORE, earlier, ERROR)], nothing(len(LATER.dimensions)))
    assert history.known == 60
    found = sampler(name, {}).suggest(LATER, seed=0, index=0, count=4, history=history)
    blind = sampler("halton", {}).suggest(LATER, seed=0, index=0, count=4)
    assert found != blind
    near = [abs(np.log10(float(each["rate"]) / 0.03)) for each in found if "rate" in each]
    assert min(near) < 0.5
