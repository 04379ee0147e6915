import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.domain.spaces import Document, documents
from tunebook_server.domain.errors import Invalid, NotFound
from tunebook_server.domain.search_space import Boolean, Categorical, Fixed, Float, Integer, SearchSpace, When

OPTIMIZERS = SearchSpace(
    (
        Categorical("optimizer", ("nesterov", "adam", "adamw"), role="scientific"),
        Float("learning_rate", 1e-3, 1.0, "log", when=When("optimizer", ("nesterov",))),
        Float("learning_rate", 1e-5, 0.1, "log", when=When("optimizer", ("adam", "adamw"))),
        Boolean("decoupled", when=When("optimizer", ("adam",))),
        Integer("warmup_steps", 1, 1000, "log", when=When("decoupled", (True,))),
        Fixed("batch_size", 64),
    )
)


def points(space: SearchSpace) -> st.SearchStrategy[list[float]]:
    count = len(space.dimensions)
    return st.lists(st.floats(0, 1, exclude_max=True), min_size=count, max_size=count)


def test_keys_name_a_hyperparameter_in_its_place() -> None:
    assert OPTIMIZERS.keys == (
        "optimizer",
        "optimizer=nesterov/learning_rate",
        "optimizer=adam|adamw/learning_rate",
        "optimizer=adam/decoupled",
        "optimizer=adam/decoupled=true/warmup_steps",
        "batch_size",
    )
    for parameter, key in zip(OPTIMIZERS.parameters, OPTIMIZERS.keys, strict=True):
        assert OPTIMIZERS.key(parameter) == key
        assert OPTIMIZERS.parameter(key) is parameter
    assert OPTIMIZERS.parent(OPTIMIZERS.parameters[4]) is OPTIMIZERS.parameters[3]
    assert OPTIMIZERS.parent(OPTIMIZERS.parameters[0]) is None
    with pytest.raises(NotFound, match="no hyperparameter 'optimiser'") as raised:
        OPTIMIZERS.parameter("optimiser")
    assert "Did you mean optimizer?" in raised.value.remedy


def test_the_same_name_under_different_parents_is_another_hyperparameter() -> None:
    nesterov = OPTIMIZERS.from_unit([0.0, 1.0, 0.0, 0.0, 0.0])
    adam = OPTIMIZERS.from_unit([0.5, 1.0, 0.0, 0.9, 0.0])
    assert nesterov == {"optimizer": "nesterov", "learning_rate": pytest.approx(1.0), "batch_size": 64}
    assert adam["learning_rate"] == pytest.approx(1e-5)
    assert OPTIMIZERS.locate(nesterov) == {
        "optimizer": "nesterov",
        "optimizer=nesterov/learning_rate": nesterov["learning_rate"],
        "batch_size": 64,
    }
    assert [each.name for each in OPTIMIZERS.active(adam)] == [
        "optimizer",
        "learning_rate",
        "decoupled",
        "warmup_steps",
        "batch_size",
    ]


def test_values_in_keys_are_escaped_where_they_would_read_as_structure() -> None:
    space = SearchSpace(
        (
            Categorical("act", ("a|b", "a", "b", "x/y=1%")),
            Boolean("one", when=When("act", ("a|b",))),
            Boolean("one", when=When("act", ("a", "b"))),
            Boolean("one", when=When("act", ("x/y=1%",))),
        )
    )
    assert space.keys[1:] == ("act=a%7Cb/one", "act=a|b/one", "act=x%2Fy%3D1%25/one")


def test_a_parent_that_shares_its_name_is_given_by_key() -> None:
    space = SearchSpace(
        (
            Categorical("optimizer", ("sgd", "adam")),
            Categorical("schedule", ("cosine", "none"), when=When("optimizer", ("sgd",))),
            Categorical("schedule", ("linear", "none"), when=When("optimizer", ("adam",))),
            Float("decay", 0, 1, when=When("optimizer=adam/schedule", ("linear",))),
        )
    )
    assert space.keys[3] == "optimizer=adam/schedule=linear/decay"
    assert "decay" not in space.from_unit([0.0, 0.0, 0.0, 0.5])
    assert space.from_unit([0.9, 0.0, 0.0, 0.5]) == {"optimizer": "adam", "schedule": "linear", "decay": 0.5}


def test_conditions_reach_to_any_depth() -> None:
    chain: list[dict[str, object]] = [{"name": "p0", "type": "boolean"}]
    for depth in range(1, 200):
        chain.append({"name": f"p{depth}", "type": "boolean", "when": {f"p{depth - 1}": [True]}})
    space = SearchSpace.parse(chain)
    assert len(space.from_unit([0.9] * 200)) == 200
    assert len(space.from_unit([0.9] * 150 + [0.1] + [0.9] * 49)) == 151
    assert space.keys[-1].count("=true/") == 199


@given(documents())
def test_json_round_trip_is_exact(document: Document) -> None:
    space = SearchSpace.parse(document)
    stored = json.dumps(space.document())
    again = SearchSpace.parse(json.loads(stored))
    assert again == space
    assert repr(again) == repr(space)
    assert json.dumps(again.document()) == stored
    for entry, written in zip(document, space.document(), strict=True):
        assert written.items() >= entry.items()


@given(st.data())
def test_unit_cube_and_configurations_are_inverse(data: st.DataObject) -> None:
    space = SearchSpace.parse(data.draw(documents()))
    vector = data.draw(points(space))
    configuration = space.from_unit(vector)
    back = space.to_unit(configuration)
    for u, found, parameter in zip(vector, back, space.dimensions, strict=True):
        if math.isnan(found):
            continue
        assert 0 <= found <= 1
        if isinstance(parameter, Float):
            assert found == pytest.approx(u, abs=1e-6)
        elif isinstance(parameter, Integer) and parameter.scale == "log":
            assert parameter.from_unit(found) == parameter.from_unit(u)
        else:
            assert abs(found - u) <= 0.5 / (parameter.size or 1) + 1e-9
    again = space.from_unit(np.nan_to_num(back, nan=0.25))
    assert again.keys() == configuration.keys()
    for name, value in configuration.items():
        expected = pytest.approx(value, rel=1e-9, abs=1e-9) if isinstance(value, float) else value
        assert again[name] == expected


@given(st.data())
def test_configurations_pass_their_own_check_and_name_their_active_hyperparameters(
    data: st.DataObject,
) -> None:
    space = SearchSpace.parse(data.draw(documents()))
    configuration = space.from_unit(data.draw(points(space)))
    assert space.check(json.loads(json.dumps(configuration))) == configuration
    assert [each.name for each in space.active(configuration)] == list(configuration)
    located = space.locate(configuration)
    assert list(located.values()) == list(configuration.values())
    for key, value in located.items():
        ancestors = [part.rpartition("/")[2] for part in key.split("=")[:-1]]
        assert all(name in configuration for name in ancestors)
        assert 0 <= space.unit(key, value) <= 1


@given(st.data())
def test_an_inactive_coordinate_has_no_effect(data: st.DataObject) -> None:
    space = SearchSpace.parse(data.draw(documents()))
    vector = np.array(data.draw(points(space)))
    configuration = space.from_unit(vector)
    inactive = np.isnan(space.to_unit(configuration))
    vector[inactive] = data.draw(st.floats(0, 1, exclude_max=True))
    assert space.from_unit(vector) == configuration


@pytest.mark.parametrize(
    "parameter",
    [
        Integer("x", 1, 7),
        Integer("x", -3, 3),
        Integer("x", 0, 10**6),
        Categorical("x", ("a", "b", "c")),
        Boolean("x"),
    ],
)
def test_every_value_of_a_finite_kind_has_the_same_share(parameter: Integer | Categorical | Boolean) -> None:
    size = parameter.size or 0
    cells = np.linspace(0, size, 1000, endpoint=False).astype(int) if size > 1000 else np.arange(size)
    for offset in (1e-6, 0.5, 1 - 1e-6):
        values = [parameter.from_unit((cell + offset) / size) for cell in cells]
        assert len(set(values)) == len(cells)
        assert [parameter.to_unit(value) for value in values] == pytest.approx((cells + 0.5) / size)


def test_log_integers_have_the_share_of_their_cell_on_the_log_axis() -> None:
    parameter = Integer("layers", 1, 8, "log")
    grid = (np.arange(200_000) + 0.5) / 200_000
    counts = np.bincount([parameter.from_unit(float(u)) for u in grid], minlength=9)[1:]
    values = np.arange(1, 9)
    shares = np.log((values + 0.5) / (values - 0.5)) / math.log(8.5 / 0.5)
    assert counts / len(grid) == pytest.approx(shares, abs=1e-5)


def test_the_ends_of_the_cube_stay_in_the_range() -> None:
    for parameter in (
        Float("x", 0.1, 0.3),
        Float("x", 1e-7, 0.3, "log"),
        Integer("x", 1, 9, "log"),
        Integer("x", 0, 4),
    ):
        for u in (0.0, math.nextafter(1, 0), 1.0):
            assert parameter.low <= parameter.from_unit(u) <= parameter.high


def test_recorded_values_outside_the_range_lie_outside_the_unit_interval() -> None:
    space = SearchSpace(
        (Float("lr", 1e-3, 1e-1, "log"), Integer("n", 1, 4), Categorical("c", (1, 2)), Fixed("f", 1))
    )
    assert space.unit("lr", 1.0) == pytest.approx(1.5)
    assert math.isnan(space.unit("lr", -1.0))
    assert space.unit("n", 0) == pytest.approx(-0.125)
    assert math.isnan(space.unit("c", 3))
    assert math.isnan(space.unit("c", True))
    assert space.unit("f", 1) == 0.5
    assert np.isnan(space.to_unit({"lr": 0.01})[1:]).all()


def test_what_is_searched_and_what_varies() -> None:
    space = SearchSpace((Categorical("only", ("one",)), Boolean("flag"), Fixed("held", 3)))
    assert [each.name for each in space.dimensions] == ["only", "flag"]
    assert [each.name for each in space.varied] == ["flag"]
    assert SearchSpace((Fixed("held", 3),)).from_unit([]) == {"held": 3}


def test_check_fixes_types_and_order_and_fills_in_fixed_values() -> None:
    given_back = OPTIMIZERS.check(
        {"warmup_steps": 10.0, "decoupled": True, "learning_rate": 0.01, "optimizer": "adam"}
    )
    assert list(given_back.items()) == [
        ("optimizer", "adam"),
        ("learning_rate", 0.01),
        ("decoupled", True),
        ("warmup_steps", 10),
        ("batch_size", 64),
    ]
    assert isinstance(given_back["warmup_steps"], int)


@pytest.mark.parametrize(
    ("changes", "field", "problem", "remedy"),
    [
        ({"learning_rate": 5}, "parameters.learning_rate", "learning_rate is 5", "from 0.001 to 1"),
        ({"learning_rate": True}, "parameters.learning_rate", "is true", "a number"),
        ({"learning_rate": "0.1"}, "parameters.learning_rate", "is '0.1'", "a number"),
        ({"learning_rate": math.nan}, "parameters.learning_rate", "is nan", "a number"),
        ({"learning_rate": 10**400}, "parameters.learning_rate", "a number of 1329 bits", "a number"),
        ({"optimizer": "sgd"}, "parameters.optimizer", "is 'sgd'", "Use one of 'nesterov', 'adam', 'adamw'."),
        ({"optimizer": ["adam"]}, "parameters.optimizer", "is a list", "Use one of"),
        ({"decoupled": True}, "parameters.decoupled", "is not active here", "optimizer=adam"),
        ({"batch_size": 32}, "parameters.batch_size", "is 32", "fixed at 64"),
        ({"batchsize": 64}, "parameters", "no hyperparameter 'batchsize'", "Did you mean batch_size?"),
        ({3: 64}, "parameters", "no hyperparameter 3", "Known hyperparameters"),
    ],
)
def test_check_names_the_hyperparameter_the_problem_and_the_remedy(
    changes: dict[object, object], field: str, problem: str, remedy: str
) -> None:
    with pytest.raises(Invalid) as raised:
        OPTIMIZERS.check({"optimizer": "nesterov", "learning_rate": 0.1} | changes)
    (fault,) = raised.value.faults
    assert fault.field == field
    assert problem in fault.problem
    assert remedy in fault.remedy


def test_check_reports_every_fault_and_says_nothing_of_what_depends_on_one() -> None:
    with pytest.raises(Invalid) as raised:
        OPTIMIZERS.check({"optimizer": 7, "learning_rate": 99, "batch_size": 1, "momentum": 0})
    assert [fault.field for fault in raised.value.faults] == [
        "parameters.optimizer",
        "parameters.batch_size",
        "parameters",
    ]
    with pytest.raises(Invalid, match="learning_rate is missing"):
        OPTIMIZERS.check({"optimizer": "adamw"})


@settings(max_examples=300)
@given(st.one_of(st.none(), st.integers(), st.lists(st.integers()), st.dictionaries(st.text(), st.floats())))
def test_check_raises_nothing_but_invalid(configuration: object) -> None:
    with pytest.raises(Invalid):
        OPTIMIZERS.check(configuration)


def test_a_point_of_another_space_is_a_mistake_of_the_program() -> None:
    with pytest.raises(ValueError, match="2 coordinates for 5 dimensions"):
        OPTIMIZERS.from_unit([0.1, 0.2])
