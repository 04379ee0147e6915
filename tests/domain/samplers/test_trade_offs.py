"""Samplers that look for the Pareto front of several metrics."""

import numpy as np
import pytest

from tunebook_server.domain.errors import Invalid
from tunebook_server.domain.pareto import hypervolumes
from tunebook_server.domain.samplers import sampler
from tunebook_server.domain.samplers.columns import columns
from tunebook_server.domain.samplers.history import Fate, History
from tunebook_server.domain.samplers.trade_offs import TURNS, weighted
from tunebook_server.domain.samplers.two_losses import front_of
from tunebook_server.domain.search_space import SearchSpace
from tunebook_server.domain.study import StudyDesign

SPACE = SearchSpace.parse(
    [{"name": f"x{place}", "type": "float", "low": 0.0, "high": 1.0} for place in range(4)]
)
OPTIONS: dict[str, object] = {"trade_offs": [{"metric": "ms"}]}


def losses(points: np.ndarray) -> np.ndarray:
    """Zitzler, Deb & Thiele's first problem: the front is where all but the first are 0."""
    first = points[:, 0]
    rest = 1 + 9 * points[:, 1:].mean(axis=1)
    return np.column_stack([first, rest * (1 - np.sqrt(first / rest))])


def history(points: np.ndarray) -> History:
    found = losses(points)
    fates = np.full(len(points), Fate.FINISHED, np.int8)
    return History(points, found[:, 0], fates, others=found[:, 1:])


def searched(name: str, options: dict[str, object], trials: int, seed: int) -> np.ndarray:
    each, points = sampler(name, options), np.empty((0, 4))
    for place in range(trials):
        (made,) = each.suggest(SPACE, seed=seed, index=place, count=1, history=history(points))
        points = np.vstack([points, columns(SPACE).settle(SPACE.to_unit(made)[None])])
    return losses(points)


@pytest.mark.parametrize("name", ["bayesian", "tpe"])
def test_the_front_is_found_sooner_than_by_chance(name: str) -> None:
    found = searched(name, OPTIONS, 40, seed=3)
    blind = searched("halton", {}, 40, seed=3)
    areas = [float(hypervolumes(each[:, 0], each[:, 1], (1.1, 10.0))[-1]) for each in (found, blind)]
    assert areas[0] > areas[1]
    kept = found[found[:, 1] < 2.0]
    assert kept[:, 0].max() - kept[:, 0].min() > 0.3


@pytest.mark.parametrize("seed", range(4))
def test_the_expected_hypervolume_is_the_mean_of_what_would_be_gained(seed: int) -> None:
    chance = np.random.default_rng(seed)
    front, _ = front_of(chance.random((12, 2)))
    means, deviations = chance.uniform(-0.2, 1.2, (5, 2)), chance.uniform(0.02, 0.5, (5, 2))
    before = area(front.losses, front.reference)
    for mean, deviation, found in zip(
        means, deviations, np.exp(front.log_improvement(means, deviations)), strict=True
    ):
        drawn = mean + deviation * chance.standard_normal((4_000, 2))
        gained = np.array(
            [area(np.vstack([front.losses, point]), front.reference) - before for point in drawn]
        )
        assert abs(found - gained.mean()) < 5 * gained.std() / np.sqrt(len(drawn)) + 1e-4


def test_far_from_the_front_nothing_is_promised_and_nothing_breaks() -> None:
    front, places = front_of(np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0], [0.0, 1.0]]))
    assert places.tolist() == [0, 1]
    found = front.log_improvement(np.array([[1e3, 1e3], [-1.0, -1.0]]), np.full((2, 2), 1e-3))
    assert np.isfinite(found).all()
    assert found[0] < -600 < 0 < found[1]


def area(losses: np.ndarray, reference: np.ndarray) -> float:
    return float(hypervolumes(losses[:, 0], losses[:, 1], (reference[0], reference[1]))[-1])


@pytest.mark.parametrize("name", ["bayesian", "tpe"])
def test_three_losses_and_a_missing_one_stop_nobody(name: str) -> None:
    options = {"trade_offs": [{"metric": "ms"}, {"metric": "mb", "direction": "maximize"}]}
    chance = np.random.default_rng(0)
    points = chance.random((14, 4))
    others = chance.random((14, 2))
    others[::3, 1] = np.nan
    known = History(points, chance.random(14), np.zeros(14, np.int8), others=others)
    one = History(points, known.losses, known.fates, others=np.full((14, 1), np.nan))
    for each, found in ((options, known), (OPTIONS, one)):
        made = sampler(name, each).suggest(SPACE, seed=1, index=14, count=3, history=found)
        assert len({tuple(configuration.values()) for configuration in made}) == 3


def test_every_weighting_likes_another_end() -> None:
    whole = history(np.column_stack([np.linspace(0, 1, 21), np.zeros((21, 3))]))
    best = [int(np.argmin(weighted(whole, place, 0).losses)) for place in range(TURNS)]
    assert best == sorted(best, reverse=True)
    assert len(set(best)) > TURNS / 2


def test_trials_without_the_other_metric_have_no_loss() -> None:
    whole = history(np.full((3, 4), 0.5))
    assert whole.others is not None
    whole.others[1] = np.nan
    found = weighted(whole, 0, 0)
    assert found.fates.tolist() == [Fate.FINISHED, Fate.ASIDE, Fate.FINISHED]
    assert np.isnan(found.losses).tolist() == [False, True, False]
    assert whole.with_pending(np.full(4, 0.1)).others is not None


def test_several_at_once_differ_and_repeat() -> None:
    known = history(np.random.default_rng(0).random((20, 4)))
    first = sampler("bayesian", OPTIONS).suggest(SPACE, seed=1, index=20, count=6, history=known)
    again = sampler("bayesian", OPTIONS).suggest(SPACE, seed=1, index=20, count=6, history=known)
    assert first == again
    assert len({str(each) for each in first}) == 6


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ("ms", "sampler.options.trade_offs"),
        ([{"metric": ""}], "sampler.options.trade_offs.0.metric"),
        ([{"metric": "ms", "direction": "less"}], "sampler.options.trade_offs.0.direction"),
        ([{"metric": "ms"}] * 5, "sampler.options.trade_offs"),
    ],
)
def test_every_fault_is_named(wrong: object, field: str) -> None:
    with pytest.raises(Invalid) as caught:
        sampler("bayesian", {"trade_offs": wrong})
    assert caught.value.faults[0].field == field


@pytest.mark.parametrize("metrics", [["ms", "ms"], ["m"]])
def test_a_metric_twice_or_the_objective_itself_is_a_fault(metrics: list[str]) -> None:
    document = {
        "name": "s",
        "objective": {"metric": "m"},
        "budget": {"trials": 9},
        "space": SPACE.document(),
        "sampler": {"name": "bayesian", "options": {"trade_offs": [{"metric": name} for name in metrics]}},
    }
    with pytest.raises(Invalid) as caught:
        StudyDesign.parse(document)
    assert caught.value.field.startswith("sampler.options.trade_offs")
