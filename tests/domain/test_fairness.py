"""Which comparisons of studies are fair, and what the others are told."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunebook_server.domain.comparison import Side, caution, fairness, overall, told_apart
from tunebook_server.domain.comparison.table import designs
from tunebook_server.domain.errors import Invalid
from tunebook_server.domain.findings import Verdict
from tunebook_server.domain.study import StudyDesign

RATE = {"name": "learning_rate", "type": "float", "low": 1e-4, "high": 1.0, "scale": "log"}
DECAY = {"name": "weight_decay", "type": "float", "low": 1e-6, "high": 1e-2, "scale": "log"}
STEPS = {"name": "max_train_steps", "type": "fixed", "value": 1000}


def fixed(name: str, value: object) -> dict[str, object]:
    return {"name": name, "type": "fixed", "value": value}


def passing(*items: str) -> list[dict[str, Any]]:
    return [
        {"item": item, "verdict": "pass", "sentence": "fine"} for item in items or ("boundary", "sampling")
    ]


def side(
    id_: int,
    *space: Mapping[str, object],
    objective: Mapping[str, str] | None = None,
    sampler: str = "halton",
    trials: int = 24,
    findings: Sequence[Mapping[str, Any]] | None = (),
) -> Side:
    document = {
        "name": "study",
        "objective": objective or {"metric": "valid/error"},
        "sampler": {"name": sampler},
        "budget": {"trials": 24},
        "space": list(space),
    }
    found = passing() if findings == () else findings
    return Side(id_, StudyDesign.parse(document), feasible=trials, infeasible=1, findings=found)


def pair(*, second: Sequence[Mapping[str, object]] = (), **changes: Any) -> list[Side]:
    """Two studies that compare optimizers fairly, but for what the test changes in the second."""
    return [
        side(1, fixed("optimizer", "sgd"), RATE, STEPS),
        side(2, *(second or (fixed("optimizer", "adam"), RATE, STEPS)), **changes),
    ]


def verdicts(sides: Sequence[Side]) -> dict[str, Verdict]:
    return {check.item: check.verdict for check in fairness(sides)}


def test_a_fair_comparison_passes_every_check() -> None:
    checks = fairness(pair())
    assert overall(checks) == Verdict.PASS
    assert caution(checks) == "A fair comparison by all of 7 checks."
    assert [check.item for check in checks] == [
        *("objective", "fixed values", "nuisance", "trials", "sampler", "boundary", "sampling")
    ]
    assert all(check.sentence.endswith(".") for check in checks)


ADAM, NARROW = fixed("optimizer", "adam"), {**RATE, "low": 1e-2}
UNFAIR: list[tuple[str, dict[str, Any], str, Verdict, str]] = [
    ("other metric", {"objective": {"metric": "valid/loss"}}, "objective", Verdict.FAIL, "valid/loss"),
    (
        "other direction",
        {"objective": {"metric": "valid/error", "direction": "maximize"}},
        *("objective", Verdict.FAIL, "maximize"),
    ),
    (
        "last evaluation",
        {"objective": {"metric": "valid/error", "evaluation": "last"}},
        *("objective", Verdict.FAIL, "The best evaluation of some stands against the last of others"),
    ),
    (
        "longer training",
        {"second": (fixed("optimizer", "sgd"), RATE, fixed("max_train_steps", 2000))},
        *("fixed values", Verdict.FAIL, "max_train_steps"),
    ),
    (
        "known to one alone",
        {"second": (ADAM, RATE, STEPS, fixed("layers", 4))},
        *("fixed values", Verdict.PASS, "only optimizer differs. layers is known only to some."),
    ),
    (
        "held in one",
        {"second": (ADAM, fixed("learning_rate", 0.1), DECAY)},
        "nuisance",
        Verdict.FAIL,
        "#2 study",
    ),
    ("nothing tuned", {"second": (ADAM, STEPS)}, "nuisance", Verdict.WARN, "#2 study"),
    ("narrower", {"second": (ADAM, NARROW, STEPS)}, "nuisance", Verdict.WARN, "0.01 … 1"),
    ("one of its own", {"second": (ADAM, RATE, DECAY, STEPS)}, "nuisance", Verdict.PASS, "weight_decay"),
    ("many more trials", {"trials": 60}, "trials", Verdict.WARN, "25 and 61"),
    ("too few trials", {"trials": 4}, "trials", Verdict.NOT_ENOUGH_DATA, "#2 study has 4"),
    ("other sampler", {"sampler": "random"}, "sampler", Verdict.WARN, "halton and random"),
    ("no findings yet", {"findings": None}, "findings", Verdict.NOT_ENOUGH_DATA, "#2 study"),
    (
        "best at the edge",
        {"findings": [{"item": "boundary", "verdict": "warn", "sentence": "At the edge."}]},
        *("boundary", Verdict.WARN, "#2 study: At the edge."),
    ),
    (
        "mostly infeasible",
        {"findings": [{"item": "infeasible share", "verdict": "fail", "sentence": "60 %."}]},
        *("infeasible share", Verdict.FAIL, "60 %."),
    ),
]


@pytest.mark.parametrize(
    ("changes", "item", "verdict", "word"), [row[1:] for row in UNFAIR], ids=[r[0] for r in UNFAIR]
)
def test_what_is_unfair_is_said(changes: dict[str, Any], item: str, verdict: Verdict, word: str) -> None:
    found = {check.item: check for check in fairness(pair(**changes))}
    assert found[item].verdict == verdict
    assert word in found[item].sentence


def test_nobody_can_tell_which_of_two_differences_it_was() -> None:
    sides = [
        side(1, fixed("optimizer", "sgd"), fixed("layers", 2), RATE),
        side(2, fixed("optimizer", "adam"), fixed("layers", 4), RATE),
    ]
    assert verdicts(sides)["fixed values"] == Verdict.FAIL
    assert caution(fairness(sides)) == "This is no fair comparison: fixed values."
    assert told_apart(sides).by_name


def test_an_optimizer_held_for_all_favours_one() -> None:
    rate = fixed("learning_rate", 0.1)
    sides = [side(place, fixed("optimizer", name), rate, DECAY) for place, name in ((1, "sgd"), (2, "adam"))]
    assert verdicts(sides)["nuisance"] == Verdict.WARN


POOL = [
    side(1, fixed("optimizer", "sgd"), RATE, STEPS),
    side(2, fixed("optimizer", "adam"), RATE, STEPS, trials=70),
    side(3, fixed("optimizer", "sgd"), NARROW, STEPS, sampler="random"),
    side(4, fixed("optimizer", "lamb"), fixed("learning_rate", 0.1), DECAY, findings=None),
    side(5, RATE, fixed("layers", 3), objective={"metric": "loss"}, trials=3),
    side(6, RATE, DECAY, STEPS, findings=[{"item": "boundary", "verdict": "fail", "sentence": "Edge."}]),
    side(7, {"name": "optimizer", "type": "categorical", "choices": ["sgd"]}, RATE, fixed("layers", True)),
]


@given(
    st.lists(st.sampled_from(POOL), min_size=2, max_size=7, unique_by=lambda each: each.id).flatmap(
        lambda sides: st.tuples(st.just(sides), st.permutations(sides))
    )
)
def test_the_order_of_the_studies_changes_no_verdict(both: tuple[list[Side], list[Side]]) -> None:
    sides, turned = both
    assert verdicts(sides) == verdicts(turned)
    assert overall(fairness(sides)) == overall(fairness(turned))
    before, after = told_apart(sides), told_apart(turned)
    assert before.key == after.key
    assert sorted(before.names) == sorted(after.names)
    assert len(set(before.names)) == len(sides)
    rows = {row.field: row.differs for row in designs([each.design for each in sides])}
    assert rows == {row.field: row.differs for row in designs([each.design for each in turned])}


def test_studies_are_called_by_the_one_thing_that_tells_them_apart() -> None:
    sides = pair()
    assert told_apart(sides) == told_apart(sides, by="optimizer")
    assert told_apart(sides).names == ("sgd", "adam")
    assert told_apart(sides, by="study").names == ("#1 study", "#2 study")
    assert told_apart(sides, by="max_train_steps").names == ("1000 (#1)", "1000 (#2)")
    with pytest.raises(Invalid, match="not fixed in all") as refused:
        told_apart(sides, by="learning_rate")
    assert refused.value.field == "by"
    three = [*sides, side(3, fixed("optimizer", "adam"), RATE, STEPS)]
    assert told_apart(three).by_name
