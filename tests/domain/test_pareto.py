"""The front that nothing beats, and the area that it commands, beside their definitions."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tunebook_server.domain.pareto import front, hypervolumes

POINTS = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=40)


def columns(points: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    found = np.array(points, dtype=np.float64).reshape(-1, 2)
    return found[:, 0], found[:, 1]


@given(POINTS)
def test_nothing_beats_the_front_and_the_front_beats_the_rest(points: list[tuple[int, int]]) -> None:
    found = front(*columns(points)).tolist()
    kept = [points[place] for place in found]
    assert kept == sorted(set(kept))
    for point in points:
        beaten = any(x <= point[0] and y <= point[1] for x, y in kept)
        assert beaten
        dominated = any((x <= point[0] and y <= point[1]) and (x, y) != point for x, y in points)
        assert (point in kept) == (not dominated)


@given(POINTS)
def test_hypervolume_is_the_area_of_cells_that_are_dominated(points: list[tuple[int, int]]) -> None:
    found = hypervolumes(*columns(points), (10.0, 10.0))
    for count in range(1, len(points) + 1):
        cells = {
            (x, y)
            for x in range(10)
            for y in range(10)
            if any(px <= x and py <= y for px, py in points[:count])
        }
        assert found[count - 1] == len(cells)
