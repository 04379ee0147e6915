"""The promise of every sampler, and what is particular to random and manual."""

import json
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tests.domain.spaces import HOSTILE, documents
from tunebook_server.domain.errors import Invalid
from tunebook_server.domain.samplers import SAMPLERS, Sampler, sampler
from tunebook_server.domain.samplers.random import random_point
from tunebook_server.domain.search_space import Boolean, Categorical, Fixed, Float, SearchSpace, When

SPACE = SearchSpace(
    (
        Categorical("optimizer", ("sgd", "adam"), role="scientific"),
        Float("learning_rate", 1e-3, 10, "log", when=When("optimizer", ("sgd",))),
        Float("learning_rate", 1e-5, 0.1, "log", when=When("optimizer", ("adam",))),
        Boolean("nesterov", when=When("optimizer", ("sgd",))),
        Fixed("batch_size", 64),
    )
)
ROWS = [{"optimizer": "adam", "learning_rate": 10 ** -(place / 10 + 1)} for place in range(40)]
OPTIONS: Mapping[str, Mapping[str, object]] = {"manual": {"configurations": ROWS}}
EVERY = [sampler(name, OPTIONS.get(name, {})) for name in SAMPLERS]


@pytest.mark.parametrize("each", EVERY, ids=SAMPLERS)
class TestPromise:
    def test_it_is_a_pure_function_of_seed_and_index(self, each: Sampler) -> None:
        whole = each.suggest(SPACE, seed=7, index=0, count=12)
        assert len(whole) == 12
        assert each.suggest(SPACE, seed=7, index=0, count=12) == whole
        singles = [each.suggest(SPACE, seed=7, index=place, count=1)[0] for place in reversed(range(12))]
        assert singles[::-1] == whole
        assert (
            each.suggest(SPACE, seed=7, index=3, count=4) + each.suggest(SPACE, seed=7, index=7, count=5)
            == whole[3:]
        )

    def test_it_gives_complete_active_configurations_that_json_can_hold(self, each: Sampler) -> None:
        for configuration in each.suggest(SPACE, seed=1, index=0, count=12):
            assert SPACE.check(configuration) == configuration
            assert json.loads(json.dumps(configuration)) == configuration
            assert all(type(value) in (float, int, str, bool) for value in configuration.values())

    def test_a_finite_one_ends_at_its_size_and_an_endless_one_goes_on(self, each: Sampler) -> None:
        each.check(SPACE)
        size = each.size(SPACE)
        if size is None:
            assert len(each.suggest(SPACE, seed=0, index=10**9, count=3)) == 3
        else:
            assert len(each.suggest(SPACE, seed=0, index=0, count=size + 5)) == size
            assert len(each.suggest(SPACE, seed=0, index=size - 1, count=5)) == 1
            assert each.suggest(SPACE, seed=0, index=size, count=5) == []

    def test_it_asks_for_nothing(self, each: Sampler) -> None:
        assert each.suggest(SPACE, seed=0, index=0, count=0) == []
        assert each.warnings(SPACE) == ()


@pytest.mark.parametrize("name", ["halton", "random"])
@given(document=documents(), seed=st.integers(0, 2**63 - 1), index=st.integers(0, 2**40))
def test_endless_samplers_fit_every_space(name: str, document: object, seed: int, index: int) -> None:
    space = SearchSpace.parse(document)
    for configuration in sampler(name, {}).suggest(space, seed=seed, index=index, count=3):
        assert space.check(configuration) == configuration


@pytest.mark.parametrize("name", ["halton", "random"])
def test_another_seed_is_another_sequence(name: str) -> None:
    space = SearchSpace((Float("x", 0, 1),))
    first, second = (
        [each["x"] for each in sampler(name, {}).suggest(space, seed=s, index=0, count=50)] for s in (1, 2)
    )
    assert not set(first) & set(second)


def test_random_points_are_independent_and_uniform() -> None:
    points = np.array([random_point(6, seed=3, index=index) for index in range(3000)])
    for column in points.T:
        assert stats.kstest(column, "uniform").pvalue > 1e-3
    assert np.abs(np.corrcoef(points.T) - np.eye(6)).max() < 0.08
    assert np.abs(np.corrcoef(points[1:, 0], points[:-1, 0])[0, 1]) < 0.08
    assert np.array_equal(random_point(3, seed=3, index=5), random_point(6, seed=3, index=5)[:3])


def test_random_points_are_the_same_six_months_later() -> None:
    assert random_point(3, seed=0, index=10**6).tolist() == [
        0.7898242466959019,
        0.8529075512315548,
        0.0181732507227228,
    ]
    assert random_point(2, seed=2**63 - 1, index=0).tolist() == [0.9199467714697597, 0.9132412607444755]
    with pytest.raises(ValueError, match="below 0"):
        random_point(1, seed=0, index=-1)


@pytest.mark.parametrize(
    ("name", "options", "field", "problem", "remedy"),
    [
        ("haltom", {}, "sampler.name", "no sampler 'haltom'", "Did you mean halton?"),
        (None, {}, "sampler.name", "no sampler nothing", "Use halton"),
        (["halton"], {}, "sampler.name", "no sampler a list", "Use halton"),
        ("halton", None, "sampler.options", "nothing, not an object", ""),
        ("halton", {"scramble": False}, "sampler.options", "unknown key 'scramble'", ""),
        ("random", {"seed": 1}, "sampler.options", "unknown key 'seed'", ""),
        ("manual", {}, "sampler.options.configurations", "is missing", "a list of 1 to 10000"),
        ("manual", {"configurations": {}}, "sampler.options.configurations", "an object", "a list"),
        ("manual", {"configurations": []}, "sampler.options.configurations", "0 entries", "a list"),
        (
            "grid",
            {"points_per_dimension": 0},
            "sampler.options.points_per_dimension",
            "is 0",
            "from 1 to 1000",
        ),
        (
            "grid",
            {"points_per_dimension": {"x": 0}},
            "sampler.options.points_per_dimension",
            "has 0",
            "1 to 1000",
        ),
        ("grid", {"points": 3}, "sampler.options", "unknown key 'points'", "points_per_dimension"),
    ],
)
def test_an_unknown_sampler_or_option_is_named(
    name: object, options: object, field: str, problem: str, remedy: str
) -> None:
    with pytest.raises(Invalid) as raised:
        sampler(name, options)
    (fault,) = raised.value.faults
    assert fault.field == field
    assert problem in fault.problem
    assert remedy in fault.remedy


def test_manual_configurations_are_checked_each() -> None:
    rows = [{"optimizer": "adam", "learning_rate": 1}, {"optimizer": "adam", "learning_rate": 0.1}, 3]
    with pytest.raises(Invalid) as raised:
        sampler("manual", {"configurations": rows}).check(SPACE)
    assert [fault.field for fault in raised.value.faults] == [
        "sampler.options.configurations.0.learning_rate",
        "sampler.options.configurations.2",
    ]


def test_a_manual_list_may_repeat_itself_to_retrain() -> None:
    row = {"optimizer": "adam", "learning_rate": 0.1}
    manual = sampler("manual", {"configurations": [row, row]})
    assert manual.suggest(SPACE, seed=0, index=0, count=9) == [row | {"batch_size": 64}] * 2


@given(st.sampled_from(sorted(SAMPLERS)), HOSTILE)
def test_hostile_options_give_invalid_and_nothing_else(name: str, options: object) -> None:
    for attempt in (options, {"configurations": options}, {"points_per_dimension": options}):
        try:
            made = sampler(name, attempt)
            made.check(SPACE)
            made.suggest(SPACE, seed=0, index=0, count=2)
        except Invalid as invalid:
            for fault in invalid.faults:
                (fault.field + fault.problem + fault.remedy).encode()
