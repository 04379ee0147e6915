"""Thresholds of the checklist that a study overrides: read, refused, compared, inherited."""

import tomllib
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.domain.spaces import JUNK
from tests.scale import DOCUMENT
from tunebook_server.api.schemas.studies import CHECKS
from tunebook_server.domain.changes import Trials
from tunebook_server.domain.changes_applied import applied
from tunebook_server.domain.difference import difference
from tunebook_server.domain.errors import Invalid
from tunebook_server.domain.findings.thresholds import BY_NAME, overridden, parse
from tunebook_server.domain.study import StudyDesign


def values(name: str) -> st.SearchStrategy[float]:
    each = BY_NAME[name]
    if each.whole:
        return st.integers(int(each.low), int(each.high))
    return st.floats(each.low, each.high)


CHECKED = st.lists(st.sampled_from(list(BY_NAME)), unique=True).flatmap(
    lambda names: st.fixed_dictionaries({name: values(name) for name in names})
)


def design(checks: object) -> StudyDesign:
    return StudyDesign.parse({**DOCUMENT, "checks": checks})


@given(CHECKED)
def test_a_design_keeps_its_thresholds(checks: dict[str, float]) -> None:
    made = design(checks)
    assert made.checks == checks
    assert StudyDesign.parse(made.document()) == made
    assert applied(made, [Trials(7)]).checks == checks
    jsonschema.validate(checks, CHECKS)


@given(CHECKED, CHECKED)
def test_what_differs_is_said(before: dict[str, float], after: dict[str, float]) -> None:
    rows = difference(design(before), design(after))
    changed = {
        f"checks.{name}"
        for name, each in BY_NAME.items()
        if before.get(name, each.default) != after.get(name, each.default)
    }
    assert {row.field for row in rows} == changed


def test_the_words_of_a_difference() -> None:
    (row,) = difference(design({}), design({"boundary.edge_share": 0.4}))
    assert row.words == "checks.boundary.edge_share 0.5 → 0.4"


def test_toml_writes_the_names_in_quotes() -> None:
    checks = tomllib.loads('[checks]\n"boundary.edge_share" = 0.4\n"sampling.needed_trials" = 20')["checks"]
    assert parse(checks) == {"boundary.edge_share": 0.4, "sampling.needed_trials": 20}
    with pytest.raises(Invalid) as raised:
        parse(tomllib.loads("boundary.edge_share = 0.4"))
    assert "in quotes" in str(raised.value.remedy)


@pytest.mark.parametrize(
    ("checks", "field", "remedy"),
    [
        ({"boundary.edge_shar": 0.4}, "checks.'boundary.edge_shar'", "Did you mean boundary.edge_share"),
        ({"<b>": 0.4}, "checks.'<b>'", "Use names like boundary.needed_trials"),
        ({"boundary.edge_share": 1.5}, "checks.boundary.edge_share", "Give a number from 0.05 to 1"),
        ({"boundary.edge_share": "x"}, "checks.boundary.edge_share", "0.5 is the default"),
        ({"boundary.edge_share": float("nan")}, "checks.boundary.edge_share", "Give a number"),
        ({"boundary.edge_share": True}, "checks.boundary.edge_share", "Give a number"),
        ({"sampling.needed_trials": 10.5}, "checks.sampling.needed_trials", "Give a whole number from 4"),
        ({"sampling.needed_trials": None}, "checks.sampling.needed_trials", "Give a whole number"),
        ([], "checks", ""),
    ],
)
def test_what_is_wrong_is_named_with_what_to_do(checks: Any, field: str, remedy: str) -> None:
    with pytest.raises(Invalid) as raised:
        design(checks)
    (fault,) = raised.value.faults
    assert fault.field == field
    assert remedy in fault.remedy


@given(JUNK | st.dictionaries(st.text(max_size=20) | st.sampled_from(list(BY_NAME)), JUNK, max_size=40))
def test_junk_is_refused_and_never_raises(checks: object) -> None:
    fields: set[str] = set()
    try:
        jsonschema.validate(dict(design(checks).checks), CHECKS)
    except Invalid as invalid:
        fields = {fault.field.partition(".")[0] for fault in invalid.faults}
    assert fields <= {"checks"}


def test_a_threshold_at_its_default_is_no_override() -> None:
    assert overridden({"boundary.edge_share": 0.5, "boundary.edge": 0.2}, "boundary") == {
        "boundary.edge": 0.2
    }
