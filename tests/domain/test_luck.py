"""When two trainings differ by more than training again would have moved them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunebook_server.domain.comparison.luck import lead, sentence
from tunebook_server.domain.findings.repeats import Repeats, pooled
from tunebook_server.domain.objective import Direction, Objective

LOSS = Objective("loss")
VALUES = st.lists(st.floats(-1e6, 1e6) | st.none(), min_size=2, max_size=20)


def test_without_repeats_nothing_is_beyond_luck() -> None:
    found = lead([0.1, 5.0], LOSS, None)
    assert found is not None
    assert (found.first, found.second, found.margin, found.beyond_luck) == (0, 1, None, False)
    assert lead([0.1, None], LOSS, Repeats(0.1, 5)) is None


@pytest.mark.parametrize("count", [2, 5, 20])
def test_equal_configurations_rarely_come_apart(count: int) -> None:
    """Trained once each, with the deviation estimated from 8 repeats: in about 1 of 20 families some pair
    differs by more than the margin, of which the lead of the best over the next is a part."""
    random, apart = np.random.default_rng(count), 0
    for _ in range(400):
        repeats = Repeats(math.sqrt(random.chisquare(8) / 8), 8)
        found = lead(random.standard_normal(count).tolist(), LOSS, repeats)
        assert found is not None
        apart += found.beyond_luck
    assert apart / 400 < 0.08
    if count == 2:
        assert apart / 400 > 0.02


@given(VALUES, st.randoms(), st.sampled_from(["minimize", "maximize"]))
def test_the_order_of_the_trials_changes_no_verdict(values, random, direction) -> None:  # type: ignore[no-untyped-def]
    turned = list(values)
    random.shuffle(turned)
    objective, repeats = Objective("m", direction), Repeats(2.0, 6)
    before, after = lead(values, objective, repeats), lead(turned, objective, repeats)
    assert (before is None) == (after is None)
    if before and after:
        assert (before.gap, before.margin) == (after.gap, after.margin)
        assert before.gap >= 0
        assert values[before.first] == turned[after.first]


def test_deviations_of_several_studies_are_pooled_by_their_weight() -> None:
    assert pooled([]) is None
    assert pooled([Repeats(1.0, 3), Repeats(3.0, 1)]) == Repeats(math.sqrt(3.0), 4)


@pytest.mark.parametrize(
    ("values", "repeats", "direction", "words"),
    [
        ([0.2, 0.1], None, "minimize", "#2 is 0.1 lower than #1, but one trial each says little"),
        ([0.2, 0.1], None, "maximize", "#1 is 0.1 higher than #2, but one trial each says little"),
        ([0.2, 0.1], Repeats(0.1, 8), "minimize", "this one may be luck"),
        ([0.2, 0.1], Repeats(0.01, 8), "minimize", "this one is larger"),
        ([0.2, 0.2], Repeats(0.01, 8), "minimize", "reached the same value"),
        ([0.2, None], None, "minimize", "Fewer than two"),
    ],
)
def test_only_an_interval_lets_a_lead_be_more_than_luck(
    values: list[float | None], repeats: Repeats | None, direction: Direction, words: str
) -> None:
    objective = Objective("m", direction)
    said = sentence(lead(values, objective, repeats), ["#1", "#2"], objective, repeats)
    assert words in said
    assert ("this one is larger" in said) is (repeats == Repeats(0.01, 8) and values[1] == 0.1)
