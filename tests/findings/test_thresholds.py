"""Thresholds are what the items judge by, and what the docs say of them."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from tests.findings.labels.case import Label
from tests.findings.labels.registry import of
from tests.findings.studies import only
from tunebook_server.domain.findings import CHECKLIST, Verdict
from tunebook_server.domain.findings.thresholds import BY_NAME, THRESHOLDS

DOCS = Path(__file__).parents[2] / "docs" / "findings.md"


class Read(Mapping[str, float]):
    """No override, and the names that were asked for."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> float:
        self.names.add(name)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


@pytest.mark.parametrize("item", CHECKLIST)
def test_every_threshold_is_asked_for_by_its_item(item: str) -> None:
    read = Read()
    for case in (case for label in Label for case in of(item, label)):
        CHECKLIST[item](replace(case.results(0), thresholds=read))
    own = {each.name for each in THRESHOLDS[item]}
    assert own
    assert own <= read.names <= set(BY_NAME)


@pytest.mark.parametrize("item", CHECKLIST)
@pytest.mark.parametrize("end", ["low", "high"])
def test_the_ends_of_every_range_give_a_verdict(item: str, end: str) -> None:
    thresholds = {each.name: getattr(each, end) for each in BY_NAME.values()}
    for label in Label:
        for case in of(item, label)[:2]:
            assert CHECKLIST[item](replace(case.results(1), thresholds=thresholds))


@pytest.mark.parametrize(
    ("name", "value", "label", "verdict"),
    [
        ("boundary.needed_trials", 1_000, Label.POSITIVE, Verdict.NOT_ENOUGH_DATA),
        ("sampling.good_needed", 1_000, Label.NEGATIVE, Verdict.WARN),
        ("per_value.trials", 50, Label.NEGATIVE, Verdict.WARN),
        ("overfitting.rise_deviations", 100.0, Label.POSITIVE, Verdict.PASS),
        ("late_variance.gaps", 100.0, Label.BORDERLINE, Verdict.PASS),
        ("gradient_norm.clipped_share", 0.9, Label.POSITIVE, Verdict.PASS),
        ("input_bound.wait_share", 0.5, Label.POSITIVE, Verdict.PASS),
    ],
)
def test_a_study_judges_by_its_own(name: str, value: float, label: Label, verdict: Verdict) -> None:
    item = next(item for item, found in THRESHOLDS.items() if any(each.name == name for each in found))
    case = [case for case in of(item, label) if case.noise > 0][-1]
    results = case.results(3)
    before = only(CHECKLIST[item](results), case.subject).verdict
    after = only(CHECKLIST[item](replace(results, thresholds={name: value})), case.subject).verdict
    assert (before != verdict, after) == (True, verdict)


def test_the_docs_have_each_with_its_default_and_range() -> None:
    said = DOCS.read_text()
    for each in BY_NAME.values():
        row = f"| `{each.name}` | {each.default:g} | {each.low:g} to {each.high:g} | {each.says} |"
        assert row in said, row
