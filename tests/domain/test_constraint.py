"""Bounds on other metrics: read, and judged by what a trial ended with."""

import math
from typing import Any

import pytest

from tunebook_server.domain import constraint
from tunebook_server.domain.constraint import Constraint
from tunebook_server.domain.errors import Invalid
from tunebook_server.domain.study import StudyDesign


def design(constraints: Any) -> StudyDesign:
    space = [{"name": "rate", "type": "float", "low": 1e-5, "high": 1.0, "scale": "log"}]
    document = {"name": "s", "objective": {"metric": "m"}, "budget": {"trials": 8}, "space": space}
    return StudyDesign.parse({**document, "constraints": constraints})


def test_they_are_read_and_written() -> None:
    made = design([{"metric": "ms", "max": 100}, {"metric": "recall", "min": 0.9, "max": 1}])
    assert made.constraints == (Constraint("ms", high=100.0), Constraint("recall", 0.9, 1.0))
    assert StudyDesign.parse(made.document()) == made
    assert constraint.parse([each.document() for each in made.constraints]) == made.constraints
    assert "constraints" not in design([]).document()


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"metric": "ms", "max": 1}, "constraints"),
        ([{"metric": "ms"}], "constraints.0.max"),
        ([{"metric": "m", "max": 1}], "constraints.0.metric"),
        ([{"metric": "ms", "max": "much"}], "constraints.0.max"),
        ([{"metric": "ms", "min": 2, "max": 1}], "constraints.0.min"),
        ([{"metric": "ms", "max": 1}, {"metric": "ms", "min": 0}], "constraints"),
        ([{"metric": "ms", "most": 1}], "constraints.0"),
    ],
)
def test_every_fault_is_named(wrong: Any, field: str) -> None:
    with pytest.raises(Invalid) as caught:
        design(wrong)
    assert caught.value.faults[0].field == field


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (0.9, ""),
        (1.0, ""),
        (0.5, "recall is 0.5 at the end, below 0.9"),
        (math.inf, "recall is inf at the end, above 1"),
        (math.nan, "recall is NaN at the end"),
    ],
)
def test_bounds_are_included(value: float, problem: str) -> None:
    assert Constraint("recall", 0.9, 1.0).problem(value) == problem
