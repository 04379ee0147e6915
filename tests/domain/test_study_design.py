import copy
import json
import tomllib

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.domain.spaces import HOSTILE, JUNK, documents
from tunebook_server.domain.errors import Fault, Invalid
from tunebook_server.domain.objective import Objective
from tunebook_server.domain.samplers.grid import CONFIGURATIONS_MOST, Grid
from tunebook_server.domain.search_space import SearchSpace
from tunebook_server.domain.study import StudyDesign

TOML = """
project = "digits"
name = "optimizer"
goal = "Which optimizer trains the two-layer MLP best?"

[objective]
metric = "valid/error"
direction = "minimize"
evaluation = "best"

[sampler]
name = "halton"
seed = 3

[budget]
trials = 48
parallel = 2
attempts = 3

[job]
template = "digits-mlp"

[[space]]
name = "optimizer"
type = "categorical"
choices = ["nesterov", "adam"]
role = "scientific"

[[space]]
name = "learning_rate"
type = "float"
low = 1e-4
high = 10
scale = "log"
when = { optimizer = ["adam"] }
"""
DOCUMENT = tomllib.loads(TOML)


def changed(path: str, value: object) -> dict[str, object]:
    document = copy.deepcopy(DOCUMENT)
    *above, last = path.split(".")
    part = document
    for key in above:
        part = part.setdefault(key, {})
    part[last] = value
    return document


def faults_of(document: object) -> tuple[Fault, ...]:
    with pytest.raises(Invalid) as raised:
        StudyDesign.parse(document)
    return raised.value.faults


def test_the_toml_of_the_command_line_is_a_design() -> None:
    design = StudyDesign.parse(DOCUMENT)
    assert design.name == "optimizer"
    assert design.objective == Objective("valid/error", "minimize", "best")
    assert (design.sampler, design.sampler_options, design.seed) == ("halton", {}, 3)
    assert (design.budget, design.parallel, design.max_attempts) == (48, 2, 3)
    assert design.template == "digits-mlp"
    assert design.space.keys == ("optimizer", "optimizer=adam/learning_rate")
    assert len(design.drawing().suggest(design.space, seed=design.seed, index=0, count=48)) == 48


def test_what_can_be_left_out() -> None:
    design = StudyDesign.parse(
        {
            "name": "short",
            "objective": {"metric": "loss"},
            "budget": {"trials": 5},
            "space": [{"name": "x", "type": "boolean"}],
        }
    )
    assert design.objective == Objective("loss", "minimize", "best")
    assert (design.goal, design.note, design.template) == ("", "", None)
    assert (design.sampler, design.seed, design.parallel, design.max_attempts) == ("halton", 0, 1, 3)


@pytest.mark.parametrize(
    ("path", "value", "field", "problem", "remedy"),
    [
        ("name", "", "name", "name is empty", "Give a text of up to 200"),
        ("name", "x" * 201, "name", "201 characters", "up to 200"),
        ("name", "a\x00b", "name", "control characters", "Give a text"),
        ("name", 7, "name", "name is 7", "Give a text"),
        ("goal", "\ud800", "goal", "control characters", "Give a text"),
        ("goals", "x", "", "unknown key 'goals'", "Did you mean goal?"),
        ("objective.metric", " ", "objective.metric", "is empty", "Give a text"),
        ("objective.direction", "min", "objective.direction", "is 'min'", "minimize or maximize"),
        ("objective.evaluation", None, "objective.evaluation", "is nothing", "best or last"),
        ("objective", "loss", "objective", "is 'loss', not an object", ""),
        ("sampler.name", "holton", "sampler.name", "is 'holton'", "Did you mean halton?"),
        ("sampler.seed", -1, "sampler.seed", "is -1", "0 to 9223372036854775807"),
        ("sampler.seed", 2**63, "sampler.seed", f"is {2**63}", "0 to"),
        ("sampler.seed", True, "sampler.seed", "is true", "0 to"),
        ("sampler.options", {"x": 1}, "sampler.options", "unknown key 'x'", ""),
        ("budget.trials", 0, "budget.trials", "is 0", "1 to 1000000"),
        ("budget.trials", 1.5, "budget.trials", "is 1.5", "1 to 1000000"),
        ("budget.parallel", "2", "budget.parallel", "is '2'", "1 to 100000"),
        ("budget.attempts", 101, "budget.attempts", "is 101", "1 to 100"),
        ("budget.attempt", 1, "budget", "unknown key 'attempt'", "Did you mean attempts?"),
        ("job.template", "", "job.template", "is empty", "Give a text"),
        ("job.command", ["python"], "job.command", "belongs to a job template", "registered job template"),
        ("job", [], "job", "is a list", ""),
        ("space", {}, "space", "an object, not a list", "a list"),
        ("space", [], "space", "0 hyperparameters", "1 to 200"),
    ],
)
def test_an_error_names_the_field_what_is_wrong_and_what_would_be_right(
    path: str, value: object, field: str, problem: str, remedy: str
) -> None:
    faults = faults_of(changed(path, value))
    assert (faults[0].field, problem in faults[0].problem) == (field, True), faults
    assert remedy in faults[0].remedy
    assert len(faults) <= 2


def test_every_fault_of_every_part_is_reported_at_once() -> None:
    faults = faults_of(
        {
            "goal": 3,
            "objective": {"direction": "up"},
            "sampler": {"name": "grid", "options": {"points_per_dimension": -1}},
            "budget": {"trials": 0},
            "job": {},
            "space": [{"name": "x", "type": "float", "low": 2, "high": 1}],
        }
    )
    assert [fault.field for fault in faults] == [
        "name",
        "goal",
        "objective.metric",
        "objective.direction",
        "space.0.low",
        "sampler.options.points_per_dimension",
        "budget.trials",
        "job.template",
    ]
    assert {fault.field for fault in faults_of({})} == {"name", "objective.metric", "budget.trials", "space"}


def test_the_budget_of_a_finite_sampler_is_by_default_all_of_it_and_never_more() -> None:
    grid = {"name": "grid", "options": {"points_per_dimension": 4}}
    document = changed("sampler", grid)
    document["budget"] = {}
    assert StudyDesign.parse(document).budget == 5
    document["budget"] = {"trials": 3}
    assert StudyDesign.parse(document).budget == 3
    document["budget"] = {"trials": 6}
    (fault,) = faults_of(document)
    assert fault.field == "budget.trials"
    assert "5 configurations" in fault.problem


def test_a_grid_above_four_dimensions_warns_and_starts() -> None:
    document = changed("space", [{"name": f"x{number}", "type": "boolean"} for number in range(5)])
    document["sampler"] = {"name": "grid"}
    document["budget"] = {}
    design = StudyDesign.parse(document)
    assert design.budget == 32
    assert ["halton" in warning.remedy for warning in design.warnings()] == [True]
    assert StudyDesign.parse(DOCUMENT).warnings() == ()


@pytest.mark.parametrize(
    ("objective", "warned"),
    [
        ({"metric": "valid/accuracy"}, True),
        ({"metric": "valid/accuracy", "direction": "minimize"}, False),
        ({"metric": "valid/loss"}, False),
    ],
)
def test_a_measure_that_should_grow_is_not_minimized_in_silence(
    objective: dict[str, str], warned: bool
) -> None:
    warnings = StudyDesign.parse({**DOCUMENT, "objective": objective}).warnings()
    assert [each.field for each in warnings] == ["objective.direction"] * warned
    assert all("maximize" in each.remedy for each in warnings)


@given(
    documents(),
    st.sampled_from(["halton", "random", "grid"]),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=20),
)
def test_a_design_comes_back_from_its_document(space: object, name: str, note: str) -> None:
    document = changed("space", space) | {"note": note}
    document["sampler"] = {"name": name, "seed": 5} | (
        {"options": {"points_per_dimension": 1}} if name == "grid" else {}
    )
    document["budget"] = {"trials": 1}
    assume(name != "grid" or (Grid(others=1).size(SearchSpace.parse(space)) or 0) <= CONFIGURATIONS_MOST)
    design = StudyDesign.parse(document)
    stored = json.dumps(design.document())
    again = StudyDesign.parse(json.loads(stored))
    assert again == design
    assert json.dumps(again.document()) == stored


PATHS = [
    "name",
    "goal",
    "note",
    "objective",
    "objective.metric",
    "sampler",
    "sampler.options",
    "sampler.seed",
]
PATHS += ["budget", "budget.trials", "budget.parallel", "job", "job.template", "space", "project", "odd"]


@given(st.sampled_from(PATHS), st.one_of(JUNK, HOSTILE))
def test_hostile_documents_give_invalid_and_nothing_else(path: str, value: object) -> None:
    for document in (value, changed(path, value)):
        try:
            design = StudyDesign.parse(document)
        except Invalid as invalid:
            for fault in invalid.faults:
                (fault.field + fault.problem + fault.remedy).encode()
        else:
            json.dumps(design.document(), allow_nan=False).encode()
