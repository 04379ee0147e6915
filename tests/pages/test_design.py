"""Designs as TOML and as form fields: nothing is lost from one to the other."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.scale import DOCUMENT
from tunebook_server.domain.errors import Invalid
from tunebook_server.domain.study import StudyDesign
from tunebook_server.pages import design

NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
WORDS = st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=30)
SCALARS = WORDS | NUMBERS | st.booleans()


def sent(document: dict[str, Any]) -> dict[str, str]:
    """What a browser sends for a form that was filled from this document."""
    fields, rows = design.to_form(document)
    for place, row in enumerate(rows):
        fields |= {f"space.{place}.{name}": value for name, value in row.items()}
    return {**fields, "mode": "form"}


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"parents": [12]},
        {"parents": [12, 3]},
        {"checks": {"boundary.edge_share": 0.4, "sampling.needed_trials": 20}},
        {"round": 7},
        {"checkpoints": {"keep_best": 3, "keep_last": 0, "keep_trials": 5}},
        {"checkpoints": {"keep": "all"}},
        {"constraints": [{"metric": "ms", "max": 100.0}, {"metric": "a/b", "min": 0.5, "max": 1.0}]},
        {"sampler": {"name": "grid", "options": {"points_per_dimension": 3}}},
        {"sampler": {"name": "bayesian", "seed": 3, "options": {"warm_start": [4, 12]}}},
        {"sampler": {"name": "tpe", "options": {"trade_offs": [{"metric": "ms", "direction": "maximize"}]}}},
        {"scheduler": {"name": "asha", "options": {"min_steps": 5, "max_steps": 200}}},
        {"scheduler": {"name": "median", "options": {"min_steps": 5, "interval": 10, "min_trials": 3}}},
        {
            "scheduler": {
                "name": "pbt",
                "options": {"interval": 9, "max_steps": 90, "kept": ["width", "a,b"]},
            },
            "job": {"template": "train"},
        },
        {"round": "7"},
        {"round": 'wide, "narrow"'},
        {"round": " true"},
    ],
)
def test_the_example_survives_both_ways(more: dict[str, object]) -> None:
    meant = StudyDesign.parse({**DOCUMENT, **more})
    assert StudyDesign.parse(design.from_toml(design.to_toml(meant.document()))) == meant
    assert StudyDesign.parse(design.read(sent(meant.document()))) == meant


@given(
    st.lists(SCALARS, min_size=1, max_size=5, unique_by=lambda choice: (type(choice), choice)),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=200),
)
def test_any_values_survive_toml(choices: list[object], goal: str) -> None:
    space = [
        {"name": "choice", "type": "categorical", "choices": choices, "role": "nuisance"},
        {"name": "lr", "type": "float", "low": 1e-300, "high": 3e10, "when": {"choice": choices[:1]}},
    ]
    document = {"name": "x", "goal": goal, "objective": {"metric": "a/b"}, "space": space}
    if not goal:
        del document["goal"]
    assert design.from_toml(design.to_toml(document)) == document


@given(st.text(max_size=300))
def test_several_lines_survive_toml(note: str) -> None:
    plain = "".join(letter for letter in note if letter == "\n" or letter.isprintable())
    assert design.from_toml(design.to_toml({"note": plain, "x": 1})).get("note", "") == plain


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("64", 64),
        ("1e-4", 1e-4),
        ("true", True),
        ("adam", "adam"),
        ('"64"', "64"),
        (".5", 0.5),
        ("nan", "nan"),
    ],
)
def test_a_field_is_read_as_the_number_that_it_is(text: str, value: object) -> None:
    row = {"space.0.name": "x", "space.0.type": "fixed", "space.0.value": text}
    document = design.read({"mode": "form", **row})
    found = document["space"][0]["value"]
    assert (found, type(found)) == (value, type(value))


@given(st.lists(SCALARS, min_size=1, max_size=5))
@example(["64", "true", "x", "1, 2", '"', "a\\", " "])
@example(['"', '"'])
def test_any_choices_survive_the_form(choices: list[object]) -> None:
    """Text that looks like a number stays text, and a comma inside it is no border."""
    space = [
        {"name": "width", "type": "categorical", "choices": choices},
        {"name": "lr", "type": "fixed", "value": choices[0], "when": {"width": choices}},
    ]
    found = design.read(sent({"name": "x", "space": space}))["space"]
    shown = [found[0]["choices"], found[1]["value"], found[1]["when"]["width"]]
    assert repr(shown) == repr([choices, choices[0], choices])


def test_the_command_lines_own_keys_are_left_out() -> None:
    job = 'template = "t"\ncommand = ["python"]\nfolder = "."\nenvironment = []'
    text = f'project = "p"\nname = "n"\n[job]\n{job}'
    assert design.from_toml(text) == {"name": "n", "job": {"template": "t"}}


@pytest.mark.parametrize("text", ["name =", "a = 1\na = 2", "[" * 2_000, "x = 1979-05-27", "\x00"])
def test_what_cannot_be_read_is_named(text: str) -> None:
    with pytest.raises(Invalid):
        StudyDesign.parse(design.read({"mode": "toml", "toml": text}))
