"""The promise of every sampler that learns, over histories that real studies have, and odd ones."""

import json
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.domain.spaces import documents
from tunebook_server.domain.samplers import SAMPLERS, Sampler, sampler
from tunebook_server.domain.samplers.columns import columns
from tunebook_server.domain.samplers.history import Fate, History, nothing
from tunebook_server.domain.samplers.proposals import names
from tunebook_server.domain.search_space import Boolean, Categorical, Fixed, Float, Integer, SearchSpace, When

LEARNERS = {name: sampler(name, {}) for name in SAMPLERS if name != "manual" and sampler(name, {}).learns}
SPACE = SearchSpace(
    (
        Categorical("optimizer", ("sgd", "adam", "lion")),
        Float("learning_rate", 1e-3, 10, "log", when=When("optimizer", ("sgd",))),
        Float("learning_rate", 1e-5, 0.1, "log", when=When("optimizer", ("adam", "lion"))),
        Boolean("nesterov", when=When("optimizer", ("sgd",))),
        Integer("layers", 1, 8),
        Integer("width", 8, 4096, "log"),
        Fixed("batch_size", 64),
    )
)
Losses = Callable[[np.random.Generator, int], np.ndarray]
ODD: dict[str, Losses] = {
    "usual": lambda chance, n: chance.random(n),
    "constant": lambda _, n: np.full(n, 0.25),
    "zero": lambda _, n: np.zeros(n),
    "huge": lambda chance, n: 1e300 * chance.standard_normal(n),
    "tiny": lambda chance, n: 1e-300 * chance.random(n),
    "both": lambda chance, n: 10.0 ** chance.uniform(-300, 300, n),
    "one far away": lambda chance, n: np.where(np.arange(n) == 0, 1e308, chance.random(n)),
}


def history(
    space: SearchSpace, chance: np.random.Generator, losses: np.ndarray, fates: list[Fate]
) -> History:
    points = columns(space).settle(chance.random((len(fates), len(space.dimensions))))
    kinds = np.array(fates, np.int8)
    valued = np.isin(kinds, [Fate.FINISHED, Fate.STOPPED])
    return History(points, np.where(valued, losses, np.nan), kinds)


def of(space: SearchSpace, size: int, losses: Losses, *fates: Fate, seed: int = 0) -> History:
    chance = np.random.default_rng(seed)
    return history(space, chance, losses(chance, size), [fates[n % len(fates)] for n in range(size)])


def until(known: History, size: int) -> History:
    return History(known.points[:size], known.losses[:size], known.fates[:size])


@pytest.mark.parametrize("each", LEARNERS.values(), ids=LEARNERS)
class TestPromise:
    @pytest.mark.parametrize("losses", ODD.values(), ids=ODD)
    def test_any_loss_will_do(self, each: Sampler, losses: Losses) -> None:
        for size in (1, 2, 30):
            check(each, SPACE, of(SPACE, size, losses, Fate.FINISHED, Fate.FINISHED, Fate.STOPPED))

    @pytest.mark.parametrize(
        "fates",
        [
            [Fate.INFEASIBLE],
            [Fate.PENDING],
            [Fate.PENDING, Fate.INFEASIBLE],
            [Fate.FINISHED, Fate.INFEASIBLE],
            [Fate.STOPPED],
            list(Fate),
        ],
        ids=["all infeasible", "all pending", "none valued", "half infeasible", "all stopped", "of each"],
    )
    def test_any_fate_will_do(self, each: Sampler, fates: list[Fate]) -> None:
        for size in (1, 12, 40):
            check(each, SPACE, of(SPACE, size, ODD["usual"], *fates))

    def test_it_starts_with_nothing(self, each: Sampler) -> None:
        found = each.suggest(SPACE, seed=3, index=0, count=20, history=nothing(len(SPACE.dimensions)))
        assert len({json.dumps(one, sort_keys=True) for one in found}) == 20
        assert found == each.suggest(SPACE, seed=3, index=0, count=20)

    def test_trials_of_one_point_do_not_stop_it(self, each: Sampler) -> None:
        one = of(SPACE, 1, ODD["usual"], Fate.FINISHED)
        many = History(one.points.repeat(30, 0), np.linspace(0, 1, 30), np.zeros(30, np.int8))
        check(each, SPACE, many)

    def test_values_of_a_wider_space_do_not_stop_it(self, each: Sampler) -> None:
        found = of(SPACE, 30, ODD["usual"], Fate.FINISHED)
        check(each, SPACE, History(found.points * 3 - 1, found.losses, found.fates))

    def test_an_exhausted_space_is_repeated(self, each: Sampler) -> None:
        space = SearchSpace((Boolean("a"), Categorical("b", (1, 2, 3))))
        found = each.suggest(
            space, seed=0, index=12, count=9, history=of(space, 12, ODD["usual"], Fate.FINISHED)
        )
        assert len(found) == 9
        assert all(space.check(one) == one for one in found)

    def test_another_process_says_the_same(self, each: Sampler) -> None:
        """Nothing lives only in a process: neither what was fitted before, in which order, nor for whom."""
        name = next(key for key, value in LEARNERS.items() if value is each)
        known = of(SPACE, 60, ODD["usual"], Fate.FINISHED, Fate.FINISHED, Fate.INFEASIBLE, Fate.PENDING)
        other = of(SPACE, 60, ODD["usual"], Fate.FINISHED, seed=1)
        for size in range(10, 60, 10):
            for beside in (known, other):
                each.suggest(SPACE, seed=1, index=size, count=2, history=until(beside, size))
        here = each.suggest(SPACE, seed=1, index=60, count=3, history=known)
        program = (
            "import json; from tests.domain.samplers.test_learners import *\n"
            "fates = (Fate.FINISHED, Fate.FINISHED, Fate.INFEASIBLE, Fate.PENDING)\n"
            "known = of(SPACE, 60, ODD['usual'], *fates)\n"
            f"print(json.dumps(LEARNERS[{name!r}].suggest(SPACE, seed=1, index=60, count=3, history=known)))"
        )
        there = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, check=True, text=True, env=None
        )
        assert json.loads(there.stdout) == here

    @settings(max_examples=25)
    @given(document=documents(), seed=st.integers(0, 2**63 - 1), size=st.integers(0, 25))
    def test_it_fits_every_space(self, each: Sampler, document: object, seed: int, size: int) -> None:
        space = SearchSpace.parse(document)
        known = of(space, size, ODD["usual"], Fate.FINISHED, Fate.INFEASIBLE, Fate.PENDING, seed=size)
        for one in each.suggest(space, seed=seed, index=size, count=2, history=known):
            assert space.check(one) == one

    def test_it_finds_the_lower_end(self, each: Sampler) -> None:
        """Of a bowl in six dimensions, closer than the best of as many random points."""
        space = SearchSpace(tuple(Float(f"x{n}", 0, 1) for n in range(6)))
        best, chance = [], np.random.default_rng(0)
        for seed in range(3):
            known = nothing(6)
            for index in range(60):
                (one,) = each.suggest(space, seed=seed, index=index, count=1, history=known)
                point = space.to_unit(one)
                loss = float(((point - 0.3) ** 2).sum())
                known = History(
                    np.vstack([known.points, point]),
                    np.append(known.losses, loss),
                    np.zeros(index + 1, np.int8),
                )
            best.append(known.losses.min())
        random = [((chance.random((60, 6)) - 0.3) ** 2).sum(axis=1).min() for _ in range(50)]
        assert np.median(best) < np.quantile(random, 0.1)


def check(each: Sampler, space: SearchSpace, known: History) -> None:
    """Complete active configurations that JSON can hold, each new, and the same when asked again."""
    size = len(known)
    found = each.suggest(space, seed=5, index=size + 10, count=4, history=known)
    assert found == each.suggest(space, seed=5, index=size + 10, count=4, history=known)
    assert all(space.check(one) == one for one in found)
    assert json.loads(json.dumps(found)) == found
    points = np.array([space.to_unit(one) for one in found])
    together = names(points) + names(known.points)
    assert len(set(together)) == 4 + len(set(names(known.points)))
