import math
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunebook_server.domain.chunk import NO_POINTS, Points, merge
from tunebook_server.domain.curve import after, bounded, rewritten, score, summarise
from tunebook_server.domain.objective import Objective

values = st.one_of(st.integers(-3, 3).map(float), st.sampled_from([math.nan, math.inf, -0.0]))
series = st.dictionaries(st.integers(0, 15), values, min_size=1, max_size=12)
objectives = st.builds(
    Objective, st.just("loss"), st.sampled_from(["minimize", "maximize"]), st.sampled_from(["best", "last"])
)


def points(written: dict[int, float]) -> Points:
    in_order = dict(sorted(written.items()))
    return Points(np.array(list(in_order), dtype=np.int64), np.array(list(in_order.values())))


@given(objectives, series)
def test_the_score_of_a_summary_is_the_objective_of_its_points(
    objective: Objective, written: dict[int, float]
) -> None:
    scored = score(objective, summarise(points(written)))
    in_order = points(written)
    expected = objective.evaluate(in_order.steps.tolist(), in_order.values.tolist())
    assert (scored.objective, scored.best_step) == (expected or (None, None))
    assert (scored.last_step, scored.points) == (max(written), len(written))


@given(objectives, st.lists(values, min_size=1, max_size=20), st.integers(0, 20))
def test_scores_add_up_along_a_curve(objective: Objective, line: list[float], cut: int) -> None:
    whole = points(dict(enumerate(line)))
    earlier, later = whole.between(None, cut - 1), whole.between(cut, None)
    if not len(later):
        return
    added = after(objective, score(objective, summarise(earlier)), score(objective, summarise(later)))
    assert added == score(objective, summarise(whole))


@given(series, series)
def test_a_rewritten_window_gives_the_summary_of_the_whole_or_asks_for_it(
    stored: dict[int, float], written: dict[int, float]
) -> None:
    old, new = points(stored), points(written)
    first, last = int(new.steps[0]), int(new.steps[-1])
    before = old.between(first, last)
    current = summarise(old)
    assert current is not None
    found = rewritten(current, before, merge([before, new]))
    whole = summarise(merge([old, new]))
    if found is not None:
        assert repr(found) == repr(whole)
    elif whole is not None:
        assert (current.min_value, current.max_value) != (whole.min_value, whole.max_value) or (
            current.min_step,
            current.max_step,
        ) != (whole.min_step, whole.max_step)


def test_an_overwritten_best_value_asks_for_the_whole_curve() -> None:
    stored = points({0: 1.0, 1: 3.0, 2: 2.0})
    current = summarise(stored)
    assert current is not None
    assert rewritten(current, points({0: 1.0}), points({0: 9.0})) is None


def test_nothing_has_no_summary_and_no_score() -> None:
    assert summarise(NO_POINTS) is None
    assert score(Objective("loss"), None).points == 0


@pytest.mark.parametrize(("direction", "best"), [("minimize", 1), ("maximize", 0)])
def test_nan_and_infinity_are_never_best(direction: Literal["minimize", "maximize"], best: int) -> None:
    line = points({0: 2.0, 1: 1.0, 2: math.nan, 3: math.inf, 4: -math.inf})
    assert score(Objective("loss", direction), summarise(line)).best_step == best
    assert score(Objective("loss", direction, "last"), summarise(line)).objective is None


def test_a_bounded_curve_has_points_of_the_curve() -> None:
    line = points({step: float(step % 7) for step in range(1_000)})
    drawn = bounded(line, 100)
    assert len(drawn) <= 100
    assert (drawn.values == drawn.steps % 7).all()
    assert bounded(line, 1_000) is line
