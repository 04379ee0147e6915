"""Changes to a design: what is applied parses, the difference says so, and what does not fit is named."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.domain.spaces import HOSTILE, JUNK, SMALL_VALUES, documents, entries
from tunebook_server.domain.changes import Change, Choices, Draw, Fix, Range, Trials, Vary, document, parse
from tunebook_server.domain.changes_applied import applied
from tunebook_server.domain.difference import difference
from tunebook_server.domain.errors import Fault, Invalid
from tunebook_server.domain.follow_up import follow_up
from tunebook_server.domain.hyperparameter import Fixed, Float, Integer
from tunebook_server.domain.objective import Objective
from tunebook_server.domain.search_space import SearchSpace
from tunebook_server.domain.study import StudyDesign
from tunebook_server.domain.study_limits import NAME_LONGEST, SEED_HIGHEST

LOG: dict[str, Any] = {"name": "lr", "type": "float", "low": 1e-4, "high": 1.0, "scale": "log"}
DESIGN = StudyDesign.parse(
    {
        "name": "optimizer",
        "objective": {"metric": "valid/error"},
        "budget": {"trials": 24},
        "space": [
            {
                "name": "optimizer",
                "type": "categorical",
                "choices": ["sgd", "adam", "rms"],
                "role": "scientific",
            },
            {**LOG, "when": {"optimizer": ["sgd"]}},
            {**LOG, "when": {"optimizer": ["adam", "rms"]}},
            {"name": "nesterov", "type": "boolean", "when": {"optimizer": ["sgd"]}},
            {"name": "momentum", "type": "float", "low": 0, "high": 0.99, "when": {"nesterov": [True]}},
            {"name": "width", "type": "integer", "low": 8, "high": 512, "scale": "log"},
            {"name": "batch_size", "type": "fixed", "value": 64},
        ],
    }
)
SGD, ADAM = "optimizer=sgd/lr", "optimizer=adam|rms/lr"
DEEP = "optimizer=sgd/nesterov=true/momentum"


def words(*changes: Change) -> list[str]:
    return [row.words for row in difference(DESIGN, applied(DESIGN, changes))]


def refused(*changes: Change, design: StudyDesign = DESIGN) -> tuple[str, str]:
    with pytest.raises(Invalid) as raised:
        applied(design, changes)
    return raised.value.field, raised.value.message


@st.composite
def designs(draw: st.DrawFn) -> StudyDesign:
    space = SearchSpace.parse(draw(documents()))
    name = draw(st.sampled_from(["halton", "random", "grid"]))
    drawn = StudyDesign("x", "", Objective("m"), space, budget=1, sampler=name).drawing()
    size = drawn.size(space)
    if size is None or size > 10**6:
        return StudyDesign("x", "", Objective("m"), space, budget=draw(st.integers(1, 50)), seed=3)
    budget = draw(st.sampled_from([size, 1]))
    return StudyDesign("x", "", Objective("m"), space, budget=budget, sampler=name)


@st.composite
def edits_of(draw: st.DrawFn, design: StudyDesign, key: str) -> Change:
    """Of one hyperparameter, mostly ones that can be applied."""
    parameter = design.space.parameter(key)
    low, high = sorted(draw(st.tuples(st.floats(1e-3, 1e6), st.floats(1e-3, 1e6))))
    odd: list[Change] = [Range(key, low, high), Fix(key, draw(SMALL_VALUES)), Choices(key, ("a", 1))]
    if isinstance(parameter, Fixed) or draw(st.integers(0, 5)) == 0:
        return draw(st.sampled_from(odd))
    if isinstance(parameter, Float | Integer) and draw(st.booleans()):
        return Range(key, low, high)
    value = parameter.from_unit(draw(st.floats(0, 1, exclude_max=True)))
    return Fix(key, value) if draw(st.booleans()) else Choices(key, (value,))


@st.composite
def changes_of(draw: st.DrawFn, design: StudyDesign) -> Change:
    key = draw(st.sampled_from([*design.space.keys, "unknown"]))
    kind = draw(st.sampled_from(["edit", "edit", "edit", "trials", "draw", "vary"]))
    if kind == "trials":
        return Trials(draw(st.integers(1, 1000)))
    if kind == "draw":
        return Draw(draw(st.sampled_from(["halton", "random", "grid"])), {})
    if key == "unknown":
        return Fix(key, 1)
    if kind == "edit":
        return draw(edits_of(design, key))
    parameter = design.space.parameter(key)
    entry = draw(entries(draw(st.sampled_from([parameter.name, "new", "newer"]))))
    if parameter.when is not None and draw(st.booleans()):
        entry["when"] = parameter.when.document()
    return Vary(entry)


@st.composite
def changed_designs(draw: st.DrawFn) -> tuple[StudyDesign, list[Change]]:
    design = draw(designs())
    return design, draw(st.lists(changes_of(design), max_size=4))


@given(changed_designs())
def test_what_is_applied_parses_and_its_difference_says_so(
    made: tuple[StudyDesign, Sequence[Change]],
) -> None:
    design, changes = made
    refused: Invalid | None = None
    try:
        after = applied(design, changes)
    except Invalid as invalid:
        refused = invalid
    if refused is not None:
        assert refused.faults
        assert all(fault.field.startswith("changes") and fault.problem for fault in refused.faults)
        return
    assert StudyDesign.parse(json.loads(json.dumps(after.document()))) == after
    same = json.dumps(after.document()) == json.dumps(design.document())
    rows = difference(design, after)
    assert (rows == []) == same
    assert all(row.field and (row.before or row.after) for row in rows)


@given(st.data())
def test_of_two_changes_of_one_key_the_first_might_as_well_be_absent(data: st.DataObject) -> None:
    design = data.draw(designs())
    key = data.draw(st.sampled_from(design.space.keys))
    first, last = (data.draw(edits_of(design, key)) for _ in range(2))

    def outcome(*changes: Change) -> StudyDesign | str:
        try:
            return applied(design, changes)
        except Invalid as invalid:
            return invalid.faults[0].problem.partition(": ")[2]

    assert outcome(first, last) == outcome(last)


@given(designs())
def test_no_change_changes_nothing(design: StudyDesign) -> None:
    assert applied(design, []) == design
    assert difference(design, design) == []


@given(changed_designs())
def test_the_json_form_is_read_back(made: tuple[StudyDesign, list[Change]]) -> None:
    _, changes = made
    assert parse(document(changes)) == tuple(changes)
    assert parse(json.loads(json.dumps(document(changes)))) == tuple(changes)


@given(
    HOSTILE
    | st.lists(
        st.dictionaries(
            st.sampled_from(
                ["change", "key", "low", "high", "choices", "value", "parameter", "trials", "name"]
            ),
            JUNK | st.sampled_from(["range", "choices", "fix", "vary", "trials", "draw", "lr"]),
        ),
        max_size=3,
    )
)
def test_anything_else_is_refused_in_words(found: object) -> None:
    count = -1
    faults: tuple[Fault, ...] = ()
    try:
        count = len(parse(found))
    except Invalid as invalid:
        faults = invalid.faults
    assert all(fault.field.startswith("changes") for fault in faults)
    assert faults or (isinstance(found, list | tuple) and count == len(found))


def test_a_range_touches_only_the_hyperparameter_of_its_key() -> None:
    after = applied(DESIGN, [Range(ADAM, 1e-5, 1)])
    assert (after.space.parameter(ADAM).document()["low"], after.space.parameter(SGD).document()["low"]) == (
        1e-5,
        1e-4,
    )
    assert words(Range(ADAM, 1e-5, 1)) == [f"{ADAM} 1e-4 … 1 → 1e-5 … 1"]


def test_an_integer_stays_whole_and_a_log_scale_begins_at_one() -> None:
    assert words(Range("width", 0.3, 600.5)) == ["width 8 … 512 → 1 … 601"]


def test_later_changes_win() -> None:
    assert words(Fix("width", 64), Range("width", 16, 32)) == ["width 8 … 512 → 16 … 32"]
    assert words(Range("width", 16, 32), Fix("width", 64)) == ["width 8 … 512 → fixed at 64"]
    assert words(Trials(5), Trials(7)) == ["budget.trials 24 → 7"]
    varied = {"name": "batch_size", "type": "integer", "low": 16, "high": 64}
    assert words(Fix("batch_size", 32), Vary(varied)) == ["batch_size 64 → 16 … 64"]
    assert words(Fix("optimizer", "adam"), Choices("optimizer", ("sgd", "adam", "rms"))) == []


def test_fixing_a_parent_removes_what_can_no_longer_be_active() -> None:
    after = applied(DESIGN, [Fix("optimizer", "adam"), Range(ADAM, 1e-3, 1), Range(DEEP, 0.5, 0.9)])
    assert after.space.keys == ("optimizer", "optimizer=adam/lr", "width", "batch_size")
    assert after.space.parameter("optimizer=adam/lr").document()["low"] == 1e-3
    assert [row.kind for row in difference(DESIGN, after)] == [
        "fixed",
        "changed",
        "removed",
        "removed",
        "removed",
    ]


def test_dropping_a_choice_drops_its_children_and_renames_the_others() -> None:
    after = applied(DESIGN, [Choices("optimizer", ("sgd", "rms")), Range(ADAM, 1e-3, 1)])
    assert after.space.keys == (
        *("optimizer", SGD, "optimizer=rms/lr", "optimizer=sgd/nesterov", DEEP),
        *("width", "batch_size"),
    )
    assert words(Choices("optimizer", ("sgd", "rms")))[1] == (
        "optimizer=rms/lr if optimizer is adam, rms → if optimizer is rms"
    )


def test_what_is_new_takes_its_place_below_its_parent() -> None:
    entry = {"name": "beta1", "type": "float", "low": 0.8, "high": 0.99, "when": {"optimizer": ["adam"]}}
    assert words(Vary(entry)) == ["optimizer=adam/beta1 added: 0.8 … 0.99"]
    assert words(Vary(entry), Range("optimizer=adam/beta1", 0.9, 0.95)) == [
        "optimizer=adam/beta1 added: 0.9 … 0.95"
    ]
    assert refused(Trials(3), Vary(entry), Fix("optimizer", "sgd"))[0] == "changes.1.parameter.when"


def test_the_role_and_the_scale_are_told() -> None:
    entry = {"name": "width", "type": "integer", "low": 8, "high": 512, "role": "scientific"}
    assert words(Vary(entry)) == ["width log, nuisance → linear, scientific"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ([Trials(5), Range("learning_rate", 0, 1)], "changes.1.key"),
        ([Range(SGD, 1, 1)], "changes.0.low"),
        ([Range(SGD, -1, 1)], "changes.0.low"),
        ([Range("optimizer", 1, 2)], "changes.0.key"),
        ([Range("batch_size", 1, 2)], "changes.0.key"),
        ([Fix("optimizer", "lion")], "changes.0.value"),
        ([Fix("width", 8.5)], "changes.0.value"),
        ([Choices("width", ("a",))], "changes.0.choices"),
        ([Choices("optimizer", ("sgd", "sgd"))], "changes.0.choices.1"),
        ([Vary({**LOG, "when": {"optimizer": ["adam"]}})], "changes.0"),
        ([Vary({**LOG, "when": {"lr": [1]}})], "changes.0.parameter.when"),
        ([Trials(3), Draw("manual", {"configurations": [{}]})], "changes.1"),
        ([Draw("grid", {"points_per_dimension": 1000})], "changes.0"),
        ([Draw("grid", {"points_per_dimension": 1}), Trials(900)], "changes.1"),
    ],
)
def test_the_change_that_does_not_fit_is_named(changes: list[Change], field: str) -> None:
    found, message = refused(*changes)
    assert found == field
    assert message.startswith("change ")


def test_a_grid_keeps_its_points_under_the_new_keys() -> None:
    points = {SGD: 3, ADAM: 2, "width": 2, DEEP: 2}
    grid = StudyDesign.parse(
        {
            **DESIGN.document(),
            "sampler": {"name": "grid", "options": {"points_per_dimension": points}},
            "budget": {},
        }
    )
    after = applied(grid, [Fix("optimizer", "adam"), Fix("width", 64)])
    assert after.sampler_options == {"points_per_dimension": {"optimizer=adam/lr": 2}}
    assert (grid.budget, after.budget) == (2 * (3 * 3 + 2 + 2), 2)


def test_a_list_of_configurations_that_no_longer_fits_is_refused() -> None:
    space = [{"name": "lr", "type": "float", "low": 0, "high": 1}]
    options = {"configurations": [{"lr": 0.1}, {"lr": 0.9}]}
    manual = {
        "name": "x",
        "objective": {"metric": "m"},
        "space": space,
        "sampler": {"name": "manual", "options": options},
    }
    design = StudyDesign.parse(manual)
    field, message = refused(Range("lr", 0, 0.5), design=design)
    assert (field, "together" in message) == ("changes", True)
    assert applied(design, [Range("lr", 0, 0.5), Draw("halton", {})]).budget == 2


def test_a_follow_up_has_a_name_and_a_seed_of_its_own() -> None:
    first = follow_up(DESIGN, [], parent_id=12, relatives=[("optimizer", 0), ("optimizer wide", 80)])
    assert (first.name, first.seed, first.parents) == ("optimizer, follow-up 1", 1, (12,))
    second = follow_up(first, [], parent_id=13, relatives=[("optimizer", 0), (first.name, 1)])
    assert (second.name, second.seed) == ("optimizer, follow-up 2", 2)
    assert StudyDesign.parse(second.document()) == second


@given(st.text("ab, 9", min_size=1, max_size=NAME_LONGEST), st.integers(SEED_HIGHEST - 1, SEED_HIGHEST))
def test_names_and_seeds_stay_within_their_limits(name: str, seed: int) -> None:
    made = DESIGN
    relatives = []
    for number in range(3):
        start = {**made.document(), "name": name if not number else made.name}
        start["sampler"] = {"seed": seed if not number else made.seed}
        relatives.append((str(start["name"]), int(start["sampler"]["seed"])))  # type: ignore[index]
        made = follow_up(
            StudyDesign.parse({**start, "name": start["name"] if str(start["name"]).strip() else "x"}),
            [],
            parent_id=1,
            relatives=relatives,
        )
        assert len(made.name) <= NAME_LONGEST
        assert made.name not in [known for known, _ in relatives]
        assert 0 <= made.seed <= SEED_HIGHEST
