"""Ticks of axes that we draw ourselves: few, round, in order, and whole where there is nothing between."""

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunebook_server.figures import ticks

ENDS = st.floats(-1e300, 1e300, allow_subnormal=False)


def test_the_examples_hold() -> None:
    assert doctest.testmod(ticks).failed == 0


@given(ENDS, ENDS, st.booleans())
def test_linear_ticks_lie_in_order_inside(one: float, other: float, ends: bool) -> None:
    low, high = sorted((one, other))
    found = ticks.between(low, high, log=False, ends=ends)
    places = [place for place, _ in found]
    assert places == sorted(places)
    assert all(-0.001 <= place <= 1.001 for place in places)
    assert len(found) <= 8
    if ends:
        assert places[0] == 0


@given(st.integers(-300, 299), st.floats(0.01, 600))
def test_log_ticks_are_ones_twos_and_fives(low: int, decades: float) -> None:
    found = ticks.between(low, min(low + decades, 308), log=True)
    assert 1 <= len(found) <= 8
    assert all(float(label.replace(",", "")) for _, label in found)
    assert {f"{float(label.replace(',', '')):e}"[0] for _, label in found} <= {"1", "2", "5"}


@given(st.integers(-(2**40), 2**40), st.integers(1, 2**40))
def test_ticks_between_whole_numbers_are_whole(low: int, span: int) -> None:
    for place, _ in ticks.between(low, low + span, log=False, whole=True):
        assert low + place * span == pytest.approx(round(low + place * span), abs=1e-6 * span)
