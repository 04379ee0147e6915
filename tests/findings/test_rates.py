"""Every item of the checklist against its labelled studies: how often it is right, how often it alarms."""

import pytest

from tests.findings.labels.case import Case, Label
from tests.findings.labels.rates import Rate, rate
from tests.findings.labels.registry import CASES, drawn, of
from tunebook_server.domain.findings import CHECKLIST

SEEDS = 24  # a noise level
ITEMS = list(CHECKLIST)
NOISY = (Label.POSITIVE, Label.BORDERLINE)


def asked(item: str, label: Label, seeds: int = SEEDS) -> Rate:
    return rate(drawn(item, label, seeds=seeds, first=0))


def test_every_item_has_studies_of_every_label_at_several_noise_levels() -> None:
    assert {case.item for case in CASES} == set(ITEMS)
    for item in ITEMS:
        assert all(of(item, label) for label in Label), item
        for label in NOISY:
            assert len({case.noise for case in of(item, label)}) >= 3, (item, label)


@pytest.mark.parametrize("item", ITEMS)
def test_clean_positives_are_noticed(item: str) -> None:
    found = asked(item, Label.POSITIVE)
    assert found.right >= 0.95 * found.asked, found.wrong


@pytest.mark.parametrize("item", ITEMS)
def test_clean_negatives_are_no_alarm(item: str) -> None:
    found = asked(item, Label.NEGATIVE)
    assert found.right >= 0.95 * found.asked, found.wrong
    assert found.alarms <= 0.05 * found.asked, found.wrong


@pytest.mark.parametrize("item", ITEMS)
def test_borderline_ones_get_a_verdict_and_too_little_says_so(item: str) -> None:
    for label in (Label.BORDERLINE, Label.TOO_LITTLE):
        found = asked(item, label, 8)
        assert found.right == found.asked, found.wrong


@pytest.mark.parametrize("case", [case for case in CASES if case.label == Label.HOSTILE], ids=str)
def test_hostile_data_raise_nothing(case: Case) -> None:
    for seed in range(2):
        assert case.right(case.ask(seed))
