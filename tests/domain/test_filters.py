"""Filters as text: what is written is read back, and everything else is refused by place and remedy."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.domain.filters import METRIC, SPACE, filters, written
from tests.domain.spaces import documents
from tunebook_server.domain.errors import Invalid
from tunebook_server.domain.filters.check import read as read_of
from tunebook_server.domain.filters.fields import names, trial_field
from tunebook_server.domain.filters.parser import COMPARISONS_MOST, DEPTH_MOST
from tunebook_server.domain.filters.tree import TRIAL_FIELDS, Comparison, Every, Filter, Not, Some
from tunebook_server.domain.filters.words import LONGEST
from tunebook_server.domain.places import Place
from tunebook_server.domain.places import place as place_of
from tunebook_server.domain.search_space import SearchSpace


def read(text: str) -> Filter | None:
    return read_of(text, space=SPACE, metric=METRIC)


@given(filters())
def test_what_is_written_is_read_back(tree: Filter) -> None:
    assert repr(read(written(tree))) == repr(tree)  # repr: NaN is not equal to itself


@given(documents(), st.sampled_from(["valid/error", "p0", "state", "in", "a b"]))
def test_every_field_of_every_study_can_be_written(document: list[dict[str, object]], metric: str) -> None:
    space = SearchSpace.parse(document)
    parameters: set[Place] = set()
    for place, name in enumerate(names(space, metric)):
        if len(name) > LONGEST - 10:
            return
        found = read_of(f"{name} is none", space=space, metric=metric)
        assert isinstance(found, Comparison)
        assert bool(found.field.places) == (place >= len(TRIAL_FIELDS))
        parameters.update(found.field.places)
    assert parameters == {place_of(space, key) for key in space.keys}


@given(
    st.text(max_size=60)
    | st.lists(st.sampled_from([*'()=<>!,"\\', "and", "not", "in", "lr", "1"])).map(" ".join)
)
def test_any_text_is_read_or_refused_for_its_field(text: str) -> None:
    refused = None
    try:
        read(text)
    except Invalid as invalid:
        refused = invalid
    assert refused is None or (refused.field == "filter" and refused.remedy)


def test_not_binds_before_and_before_or() -> None:
    found = read('not state = failed AND valid/error <= 5e-2 or note contains "late" or number in (1, 2)')
    assert isinstance(found, Some)
    both, note, number = found.parts
    assert isinstance(both, Every)
    assert [type(part) for part in both.parts] == [Not, Comparison]
    assert both.parts[1] == Comparison(trial_field("objective"), "<=", (0.05,))
    assert note == Comparison(trial_field("note"), "contains", ("late",))
    assert number == Comparison(trial_field("number"), "in", (1.0, 2.0))
    assert read(" ") is None


def test_a_quoted_name_is_a_hyperparameter() -> None:
    """Also where a field of all trials has its name."""
    for text, is_parameter in (("state = failed", False), ('"state" = 1', True), ('"number" = true', True)):
        found = read(text)
        assert isinstance(found, Comparison)
        assert bool(found.field.places) == is_parameter


REFUSED = [
    ("optimiser = adam", "no field 'optimiser', at position 1", "Did you mean optimizer?"),
    ("colour = red", "no field 'colour'", "Fields: number, state"),
    ("valid/eror < 1", "no field 'valid/eror'", "Did you mean valid/error?"),
    ('"optimizer=adam/lrr" > 1', "no hyperparameter", "Did you mean lr"),
    (
        "mixed > 1",
        "some hyperparameters 'mixed' are numbers",
        'Did you mean "number=true/mixed" or "number=false/mixed"?',
    ),
    ('"objective" > 1', "no hyperparameter 'objective'", "Hyperparameters: optimizer"),
    ("objective > ", "found the end, at position 13", "a value"),
    ("objective 0.1", "found 0.1, at position 11", "After objective comes"),
    ("objective == 1", "found =, at position 12", "a value"),
    ("0.1 > objective", "found 0.1, at position 1", "begins with a field"),
    ("objective > 0.1 0.2", "found 0.2, at position 17", "and, or"),
    ("objective > 0.1 &", "'&' cannot be read, at position 17", "Signs are"),
    ("objective > 1e4x", "'1e4x' cannot be read", "a number alone"),
    ("created_at > 2026-11-24", "'2026-11-24' cannot be read", "in double quotes"),
    ('created_at > "yesterday"', "is a time", "2026-11-24"),
    ('created_at > "0001-01-01T00:00+14:00"', "is a time", "2026-11-24"),
    ('note contains "late', "has no end", "same quote"),
    ('note contains "a\\b"', "single backslash", "\\\\"),
    ("note contains 3", "note is a text, 3 is a number", '"3"'),
    ('note = ""', "is empty", "note is none"),
    ("note < x", "< does not fit", "contains"),
    ("objective contains x", "contains does not fit", "<="),
    ("state = lost", "state cannot be lost", "queued, claimed"),
    ('optimizer = "ADAM"', "optimizer cannot be 'ADAM'", "sgd, adam"),
    ("optimizer > adam", "> does not fit", "in"),
    ("width = 65", "width cannot be 65", "64, 128, 0.5"),
    ("objective = adam", "objective is a number, adam is a text", "without quotes"),
    ('objective > "0.1"', "objective is a number, '0.1' is a text", "without quotes"),
    ("objective > 1e400", "larger than a float64", "Infinity"),
    ("objective = none", "found none", "is none"),
    ("objective is 3", "found 3", "write ="),
    ("number in 3", "found 3", "in (1, 2)"),
    ("number in (3", "found the end", "bracket"),
    ("(number = 3", "found the end", "position 1"),
    ("number = 3)", "found )", "and, or"),
    ("note = a\x00b", "control characters", "one line"),
    ("note = a\nb", "control characters", "one line"),
    ("note = '\ud800'", "control characters", "one line"),
    ("x" * (LONGEST + 1), "2001 characters", "2,000"),
    ("(" * (DEPTH_MOST + 1) + "number = 1", "20 levels", "brackets"),
    ("not " * 400 + "number = 1", "20 levels", "brackets"),
    (" or ".join(["number = 1"] * (COMPARISONS_MOST + 1)), "50 comparisons", "in (…)"),
]


@pytest.mark.parametrize(("text", "problem", "remedy"), REFUSED, ids=[row[0][:30] for row in REFUSED])
def test_what_cannot_be_is_refused_with_place_and_remedy(text: str, problem: str, remedy: str) -> None:
    with pytest.raises(Invalid) as refused:
        read(text)
    assert refused.value.field == "filter"
    assert problem in refused.value.message
    assert remedy in refused.value.remedy


def test_the_limits_themselves_are_allowed() -> None:
    assert read("(" * DEPTH_MOST + "number = 1" + ")" * DEPTH_MOST)
    assert read(" or ".join(["number = 1"] * COMPARISONS_MOST))
    assert read("number = 1" + " " * (LONGEST - 10))
