import itertools

import pytest
from hypothesis import given

from tests.domain.spaces import Document, documents
from tunebook_server.domain.errors import Invalid
from tunebook_server.domain.samplers.grid import Grid
from tunebook_server.domain.search_space import Boolean, Categorical, Fixed, Float, Integer, SearchSpace, When
from tunebook_server.domain.trial import Configuration, Value


def everything(grid: Grid, space: SearchSpace) -> list[Configuration]:
    return grid.suggest(space, seed=0, index=0, count=grid.size(space) or 0)


def test_axes_run_from_end_to_end_on_their_scale_in_round_numbers() -> None:
    def axis(parameter: Float | Integer, points: int) -> list[Value]:
        return [each["x"] for each in everything(Grid(others=points), SearchSpace((parameter,)))]

    assert axis(Float("x", 1e-5, 1, "log"), 6) == [1e-5, 1e-4, 1e-3, 0.01, 0.1, 1.0]
    assert axis(Float("x", 0, 1), 5) == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert axis(Float("x", 0, 1), 1) == [0.5]
    assert axis(Float("x", 0.1, 0.3), 2) == [0.1, 0.3]
    assert axis(Float("x", 0.12345678901234, 1), 2) == [0.12345678901234, 1.0]
    assert axis(Integer("x", 1, 3), 5) == [1, 2, 3]
    assert axis(Integer("x", 0, 10), 3) == [0, 5, 10]
    assert axis(Integer("x", 10**12 - 2, 10**12), 2) == [10**12 - 2, 10**12]
    assert axis(Integer("x", 16, 256, "log"), 5) == [16, 32, 64, 128, 256]
    assert axis(Integer("x", 1, 10, "log"), 8) == [1, 2, 3, 4, 5, 7, 10]


def test_reading_order_and_points_by_key() -> None:
    space = SearchSpace(
        (
            Categorical("optimizer", ("sgd", "adam")),
            Float("lr", 0.1, 1, "log", when=When("optimizer", ("sgd",))),
            Float("lr", 0.01, 1, "log", when=When("optimizer", ("adam",))),
            Fixed("batch_size", 64),
        )
    )
    grid = Grid({"optimizer=adam/lr": 3, "optimizer=sgd/lr": 2})
    assert [tuple(each.values()) for each in everything(grid, space)] == [
        ("sgd", 0.1, 64),
        ("sgd", 1.0, 64),
        ("adam", 0.01, 64),
        ("adam", 0.1, 64),
        ("adam", 1.0, 64),
    ]


def test_of_independent_hyperparameters_the_last_changes_fastest() -> None:
    space = SearchSpace((Boolean("a"), Categorical("b", (1, 2, 3)), Boolean("c", when=When("a", (True,)))))
    assert [tuple(each.values()) for each in everything(Grid(), space)] == [
        *((False, 1), (False, 2), (False, 3)),
        *((True, 1, False), (True, 2, False), (True, 3, False)),
        *((True, 1, True), (True, 2, True), (True, 3, True)),
    ]


def by_brute_force(grid: Grid, space: SearchSpace) -> set[tuple[tuple[str, Value], ...]]:
    """Every combination of values of all hyperparameters, active or not, cut down to what is active."""
    axes = grid._combinations(space).values
    found = set()
    for combination in itertools.product(*axes):
        configuration: dict[str, Value] = {}
        for node in space.active_nodes(configuration):
            configuration[node.parameter.name] = combination[space.keys.index(node.key)]
        found.add(tuple(configuration.items()))
    return found


@given(documents(depth=2))
def test_each_active_configuration_comes_once(document: Document) -> None:
    space = SearchSpace.parse(document[:7])
    grid = Grid(others=2)
    size = grid.size(space)
    assert size is not None
    configurations = grid.suggest(space, seed=0, index=0, count=min(size, 500))
    keys = [tuple(each.items()) for each in configurations]
    assert len(set(keys)) == len(keys)
    for configuration in configurations[:50]:
        assert space.check(configuration) == configuration
    if size <= 200 and len(space.parameters) <= 6:
        assert set(keys) == by_brute_force(grid, space)


def test_a_huge_grid_is_counted_without_being_listed() -> None:
    space = SearchSpace(tuple(Float(f"x{number}", 0, 1) for number in range(200)))
    grid = Grid(others=10)
    assert grid.size(space) == 10**200
    last = grid.suggest(space, seed=0, index=10**200 - 1, count=2)
    assert [set(each.values()) for each in last] == [{1.0}]
    with pytest.raises(Invalid) as raised:
        grid.check(space)
    assert "about 10^200 configurations" in raised.value.message
    assert "halton" in raised.value.remedy


def test_more_than_four_dimensions_are_warned_about() -> None:
    four = SearchSpace(tuple(Boolean(f"x{number}") for number in range(4)))
    five = SearchSpace((*four.parameters, Boolean("x4"), Fixed("held", 1), Categorical("one", ("a",))))
    assert Grid().warnings(four) == ()
    (warning,) = Grid().warnings(five)
    assert warning.problem == "a grid over 5 dimensions has 32 configurations"
    assert "halton" in warning.remedy


def test_dimensions_that_exclude_each_other_do_not_add_up() -> None:
    branches = [("x", f"o{number}") for number in range(9)]
    space = SearchSpace(
        (
            Categorical("optimizer", tuple(value for _, value in branches)),
            *(Float(name, 0, 1, when=When("optimizer", (value,))) for name, value in branches),
            Boolean("a"),
            Boolean("b"),
        )
    )
    assert Grid().warnings(space) == ()
    assert Grid(others=3).size(space) == 9 * 3 * 4


def test_points_for_an_unknown_or_unordered_key_are_refused() -> None:
    space = SearchSpace((Boolean("flag"), Float("learning_rate", 0, 1)))
    with pytest.raises(Invalid) as raised:
        Grid({"flag": 2, "learning_rat": 3}).check(space)
    assert [fault.field for fault in raised.value.faults] == ["sampler.options.points_per_dimension"] * 2
    assert "'flag'" in raised.value.faults[0].problem
    assert "Did you mean learning_rate?" in raised.value.faults[1].remedy
    Grid({"learning_rate": 3}).check(space)
