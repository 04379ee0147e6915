import jsonschema
import pytest
from hypothesis import given, settings

from tests.domain.spaces import HOSTILE, Document, Entry, bent_documents, documents
from tunebook_server.domain.document import FAULTS_SHOWN, STRANGERS_SHOWN
from tunebook_server.domain.errors import Fault, Invalid
from tunebook_server.domain.search_space import SCHEMA, Boolean, Categorical, Float, Integer, SearchSpace

SCHEMA_CHECK = jsonschema.Draft202012Validator(SCHEMA)
BEYOND_THE_SCHEMA = (
    "is not below high",
    "too close to search between",
    "are alike",
    "stands above it",
    "does not stand above it",
    "never active",
    "names a value twice",
    "hyperparameters are named",
    "can be active together",
    "by luck only",
)
"""Problems that span several values, which no JSON Schema can say."""


def faults_of(document: object) -> tuple[Fault, ...]:
    with pytest.raises(Invalid) as raised:
        SearchSpace.parse(document)
    return raised.value.faults


LR: Entry = {"name": "lr", "type": "float", "low": 0.1, "high": 1.0}
OPTIMIZER: Entry = {"name": "optimizer", "type": "categorical", "choices": ["sgd", "adam"]}


@pytest.mark.parametrize(
    ("entry", "field", "problem", "remedy"),
    [
        (LR | {"low": 2}, "space.1.low", "lr: low 2.0 is not below high 1.0", "fixed"),
        (LR | {"high": 0.1}, "space.1.low", "lr: low 0.1 is not below high 0.1", "fixed"),
        (LR | {"high": 0.1 + 1e-16}, "space.1.high", "too close", "Widen"),
        (LR | {"low": 0, "scale": "log"}, "space.1.low", "lr: low is 0.0 on a log scale", "linear scale"),
        (LR | {"scale": "logarithmic"}, "space.1.scale", "scale is 'logarithmic'", "linear or log"),
        (LR | {"low": "0.1"}, "space.1.low", "lr: low is '0.1'", "Give a number"),
        (LR | {"low": True}, "space.1.low", "lr: low is true", "Give a number"),
        (LR | {"low": float("nan")}, "space.1.low", "lr: low is nan", "Give a number"),
        (LR | {"high": float("inf")}, "space.1.high", "lr: high is inf", "Give a number"),
        (LR | {"role": "fixed"}, "space.1.role", "lr: role is 'fixed'", "scientific or nuisance"),
        (LR | {"typ": 1}, "space.1", "lr: unknown key 'typ'", "Did you mean type?"),
        (LR | {"type": "double"}, "space.1.type", "lr: type is 'double'", "float or integer"),
        (LR | {"name": "l r"}, "space.1.name", "name is 'l r'", "letters"),
        (LR | {"name": "lr\n"}, "space.1.name", "control characters", "text"),
        (LR | {"name": None}, "space.1.name", "name is nothing", "text"),
        ({"name": "lr", "type": "float", "low": 0.1}, "space.1.high", "lr: high is missing", "Give a number"),
        (LR | {"type": "integer"}, "space.1.low", "lr: low is 0.1", "whole number"),
        (
            {"name": "n", "type": "integer", "low": 0, "high": 9, "scale": "log"},
            "space.1.low",
            "n: low is 0 on a log scale",
            "at least 1",
        ),
        (
            {"name": "n", "type": "integer", "low": 0, "high": 10**13},
            "space.1.high",
            "n: high",
            "whole number",
        ),
        ({"name": "c", "type": "categorical", "choices": []}, "space.1.choices", "0 entries", "1 to 1000"),
        ({"name": "c", "type": "categorical", "choices": "ab"}, "space.1.choices", "is 'ab'", "a list"),
        (
            {"name": "c", "type": "categorical", "choices": [1, 1.0]},
            "space.1.choices.1",
            "are alike",
            "Leave",
        ),
        (
            {"name": "c", "type": "categorical", "choices": [1, "1"]},
            "space.1.choices.1",
            "are alike",
            "Leave",
        ),
        (
            {"name": "c", "type": "categorical", "choices": [1, True]},
            "space.1.choices.1",
            "are alike",
            "Leave",
        ),
        ({"name": "c", "type": "categorical", "choices": [[]]}, "space.1.choices", "is a list", "texts"),
        ({"name": "c", "type": "categorical", "choices": ["\x1b["]}, "space.1.choices", "control", "texts"),
        ({"name": "c", "type": "categorical", "choices": ["\ud800"]}, "space.1.choices", "control", "texts"),
        ({"name": "c", "type": "categorical", "choices": ["x" * 201]}, "space.1.choices", "201", "up to 200"),
        ({"name": "f", "type": "fixed"}, "space.1.value", "f: value is missing", "text, a number"),
        ({"name": "f", "type": "fixed", "value": None}, "space.1.value", "f: value is nothing", "texts"),
        ("lr", "space.1", "space.1 is 'lr', not an object", ""),
        (LR | {"when": "optimizer"}, "space.1.when", "lr: when is 'optimizer'", "one parent"),
        (LR | {"when": {}}, "space.1.when", "lr: when has 0 parents", "one parent"),
        (LR | {"when": {"a": [1], "b": [1]}}, "space.1.when", "lr: when has 2 parents", "one parent"),
        (LR | {"when": {"optimizer": "adam"}}, "space.1.when", "lr: when has 'adam'", "a list of its values"),
        (LR | {"when": {"optimizer": []}}, "space.1.when", "lr: when has 0 values", "a list of its values"),
        (LR | {"when": {"optimizer": [None]}}, "space.1.when", "lr: when is nothing", "texts"),
        (LR | {"when": {1: ["adam"]}}, "space.1.when", "lr: when has 1 for a parent", "one parent"),
        (
            LR | {"when": {"optimiser": ["adam"]}},
            "space.1.when",
            "no hyperparameter 'optimiser'",
            "optimizer?",
        ),
        (LR | {"when": {"lr": [0.5]}}, "space.1.when", "'lr' does not stand above it", "before its children"),
        (
            LR | {"when": {"optimizer": ["adamw"]}},
            "space.1.when",
            "cannot be 'adamw'",
            "one of 'sgd', 'adam'",
        ),
        (LR | {"when": {"optimizer": ["sgd", "sgd"]}}, "space.1.when", "names a value twice", "Leave"),
        (LR | {"name": "optimizer"}, "space.1.name", "can be active together", "Rename"),
    ],
)
def test_an_error_names_the_hyperparameter_what_is_wrong_and_what_would_be_right(
    entry: object, field: str, problem: str, remedy: str
) -> None:
    faults = faults_of([OPTIMIZER, entry])
    assert [fault.field for fault in faults] == [field]
    assert problem in faults[0].problem
    assert remedy in faults[0].remedy


def test_every_fault_is_reported_and_nothing_about_what_depends_on_one() -> None:
    faults = faults_of(
        [
            {"name": "a", "type": "float", "low": 3, "high": 1},
            {"name": "b", "type": "categorical"},
            {"name": "c", "type": "boolean", "when": {"b": ["x"]}},
            {"name": "d", "type": "boolean", "when": {"nowhere": [1]}},
            {"name": "e", "type": "boolean", "when": {"d": [True]}},
            {"name": "f", "type": "boolean", "when": {"nowhere=1/d": [True]}},
        ]
    )
    assert [fault.field for fault in faults] == ["space.0.low", "space.1.choices", "space.3.when"]


def test_a_float_cannot_be_a_parent_and_a_shared_name_is_no_reference() -> None:
    child = {"name": "x", "type": "boolean", "when": {"lr": [0.5]}}
    assert "by luck only" in faults_of([LR, child])[0].problem
    twice = [
        OPTIMIZER,
        {"name": "nested", "type": "boolean", "when": {"optimizer": ["sgd"]}},
        {"name": "nested", "type": "boolean", "when": {"optimizer": ["adam"]}},
        {"name": "x", "type": "boolean", "when": {"nested": [True]}},
    ]
    (fault,) = faults_of(twice)
    assert "2 hyperparameters are named 'nested'" in fault.problem
    assert "'optimizer=sgd/nested', 'optimizer=adam/nested'" in fault.remedy


def test_names_that_overlap_in_one_value_are_refused_and_in_none_allowed() -> None:
    def rates(first: list[str], second: list[str]) -> Document:
        return [OPTIMIZER, LR | {"when": {"optimizer": first}}, LR | {"when": {"optimizer": second}}]

    assert SearchSpace.parse(rates(["sgd"], ["adam"]))
    (fault,) = faults_of(rates(["sgd"], ["adam", "sgd"]))
    assert fault.field == "space.2.name"
    assert "optimizer=sgd/lr" in fault.problem


def test_limits_on_hyperparameters_choices_and_keys() -> None:
    assert "0 hyperparameters" in faults_of([])[0].problem
    many = [{"name": f"p{number}", "type": "boolean"} for number in range(201)]
    assert SearchSpace.parse(many[:200])
    assert "201 hyperparameters" in faults_of(many)[0].problem
    choices = [f"{number}" for number in range(1001)]
    assert "1001 entries" in faults_of([OPTIMIZER | {"choices": choices}])[0].problem
    long = ["x" * 190 + str(number) for number in range(100, 200)]
    deep = [OPTIMIZER | {"choices": long}, {"name": "x", "type": "boolean", "when": {"optimizer": long}}]
    assert "its key has" in faults_of(deep)[0].problem


def test_a_million_faults_are_cut_to_a_readable_answer() -> None:
    hostile = {"name": "a", "type": "boolean"} | {f"k{number}": 1 for number in range(10_000)}
    faults = faults_of([hostile])
    assert len(faults) == STRANGERS_SHOWN + 1
    assert f"{10_000 - STRANGERS_SHOWN} more unknown keys" in faults[-1].problem
    assert len(faults_of([hostile] * 100)) == FAULTS_SHOWN
    with pytest.raises(Invalid) as raised:
        SearchSpace((Boolean("a"),)).check(hostile | {"a": True})
    assert len(raised.value.faults) == STRANGERS_SHOWN + 1


def test_constructors_hold_the_same_rules() -> None:
    for make in (
        lambda: Float("x", 1, 0),
        lambda: Float("x", "0", 1),  # type: ignore[arg-type]
        lambda: Integer("x", 1, 2.5),  # type: ignore[arg-type]
        lambda: Categorical("x", ()),
        lambda: Boolean("x y"),
        lambda: Boolean("x", role="fixed"),
        lambda: SearchSpace(()),
        lambda: SearchSpace((Boolean("x"), Boolean("x"))),
    ):
        with pytest.raises(Invalid):
            make()


@settings(max_examples=400)
@given(HOSTILE)
def test_a_hostile_document_gives_invalid_and_nothing_else(document: object) -> None:
    for attempt in (document, [document], [document, document]):
        try:
            SearchSpace.parse(attempt)
        except Invalid as invalid:
            for fault in invalid.faults:
                assert len(fault.problem) < 1000
                (fault.field + fault.problem + fault.remedy).encode()


@settings(max_examples=200)
@given(documents())
def test_the_schema_accepts_what_is_valid(document: Document) -> None:
    SCHEMA_CHECK.validate(document)
    SCHEMA_CHECK.validate(SearchSpace.parse(document).document())


@settings(max_examples=600)
@given(bent_documents())
def test_the_schema_and_the_parser_agree(document: object) -> None:
    try:
        SearchSpace.parse(document)
    except Invalid as invalid:
        if SCHEMA_CHECK.is_valid(document):
            for fault in invalid.faults:
                assert any(phrase in fault.problem for phrase in BEYOND_THE_SCHEMA), fault
    else:
        assert SCHEMA_CHECK.is_valid(document)


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
