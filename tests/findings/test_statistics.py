import numpy as np
import pytest

from tunebook_server.domain.findings.finding import not_enough
from tunebook_server.domain.findings.statistics import uneven_p, wilson


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5, 0.97])
@pytest.mark.parametrize("total", [20, 200])
def test_the_interval_holds_the_share_as_often_as_it_says(share: float, total: int) -> None:
    counts = np.random.default_rng(total).binomial(total, share, 2_000)
    held = [low <= share <= high for low, high in (wilson(int(count), total) for count in counts)]
    assert np.mean(held) >= 0.92


def test_the_interval_of_none_and_of_all_is_no_point() -> None:
    assert wilson(0, 10) == pytest.approx((0.0, 0.27753), abs=1e-5)
    assert wilson(10, 10) == pytest.approx((1 - 0.27753, 1.0), abs=1e-5)
    assert wilson(0, 0) == (0.0, 1.0)


def test_chance_is_uneven_at_its_level() -> None:
    shares = np.array([0.5, 0.3, 0.15, 0.05])
    counts = np.random.default_rng(0).multinomial(100, shares, 2_000)
    chances = np.array([uneven_p(row, shares) for row in counts])
    for level in (0.01, 0.05, 0.5):
        assert (chances <= level).mean() == pytest.approx(level, abs=0.04)
    assert uneven_p([90, 10], [1, 1]) < 1e-9
    assert uneven_p([7], [1]) == uneven_p([0, 0], [1, 1]) == 1


@pytest.mark.parametrize(
    ("noun", "have", "sentence"),
    [
        ("feasible trial", 3, "2 more feasible trials needed (3 of 5)."),
        ("feasible trial", 4, "1 more feasible trial needed (4 of 5)."),
        ("feasible trial with a curve", 2, "3 more feasible trials with a curve needed (2 of 5)."),
    ],
)
def test_what_is_wanted_is_counted_in_words(noun: str, have: int, sentence: str) -> None:
    assert not_enough("boundary", have, 5, noun).sentence == sentence
