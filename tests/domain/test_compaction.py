import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tunebook_server.domain.chunk import Points, merge
from tunebook_server.domain.compaction import (
    MAX_LEVEL,
    Extent,
    Piece,
    Sizes,
    coarser,
    joins,
    level_groups,
    points_per_point,
    split,
)

SIZES = Sizes(chunk_points=8, group_points=32, merge_points=1_000)


def extent(piece: Piece) -> Extent:
    steps = piece.points.steps
    return Extent(
        piece.level, piece.sequence, piece.last_sequence, piece.stands_for, int(steps[0]), int(steps[-1])
    )


def chunk(sequence: int, first_step: int, points: int) -> Extent:
    return Extent(0, sequence, sequence, points, first_step, first_step + points - 1)


def sequences(groups: list[list[Extent]]) -> list[list[int]]:
    return [[member.sequence for member in group] for group in groups]


def planned(chunks: list[Extent], *gaps: int, sizes: Sizes = SIZES) -> list[list[int]]:
    return sequences([list(group) for group in joins(chunks, gaps, sizes)])


def test_small_neighbours_are_joined_up_to_a_size() -> None:
    chunks = [chunk(sequence, 3 * sequence, 3) for sequence in range(8)]
    assert planned(chunks) == [[0, 1, 2], [3, 4, 5], [6, 7]]


def test_what_is_large_already_stays() -> None:
    assert planned([chunk(0, 0, 8), chunk(1, 8, 9), chunk(2, 17, 3)]) == []
    assert planned([chunk(0, 0, 8), chunk(1, 8, 2), chunk(2, 17, 9)]) == [[1, 2]]


def test_nothing_is_joined_across_a_gap() -> None:
    chunks = [chunk(sequence, 3 * sequence, 3) for sequence in (0, 1, 4, 5)]
    assert planned(chunks, 1) == [[0, 1], [4, 5]]
    assert planned(chunks, 0, 4) == [[1, 4]]
    assert planned(chunks) == [
        [0, 1, 4],
    ]


def test_entangled_steps_are_sorted_out_and_others_left() -> None:
    chunks = [chunk(0, 0, 8), chunk(1, 100, 8), chunk(2, 200, 8), chunk(3, 104, 8), chunk(4, 300, 8)]
    assert planned(chunks) == [[1, 2, 3]]
    assert planned(chunks, sizes=Sizes(8, 32, merge_points=20)) == []


def test_pieces_lie_inside_the_sequences_that_they_come_from() -> None:
    group = [chunk(sequence, 10 * sequence, 10) for sequence in (3, 4, 7)]
    points = Points(np.arange(30, dtype=np.int64), np.zeros(30))
    pieces = split(group, points, SIZES)
    assert [(piece.sequence, piece.last_sequence) for piece in pieces] == [(3, 3), (4, 6), (7, 7)]
    assert merge([piece.points for piece in pieces]).steps.tolist() == list(range(30))
    assert len(split(group[:1], points, SIZES)) == 1


def test_a_level_waits_for_enough_points_and_for_the_last_chunk() -> None:
    below = [chunk(sequence, 8 * sequence, 8) for sequence in range(9)]
    assert len(level_groups(below, [], 1, SIZES, settled=False)) == 2
    assert len(level_groups(below[:8], [], 1, SIZES, settled=False)) == 1
    assert len(level_groups(below[:8], [], 1, SIZES, settled=True)) == 2
    there = [Extent(1, 0, 3, 32, 0, 31)]
    assert sequences([list(group) for group in level_groups(below, there, 1, SIZES, settled=True)]) == [
        [4, 5, 6, 7]
    ]


def test_a_level_ends_where_steps_are_entangled() -> None:
    below = [*(chunk(sequence, 8 * sequence, 8) for sequence in range(4)), chunk(4, 20, 40)]
    assert len(level_groups(below, [], 1, SIZES, settled=True)) == 1


@given(st.integers(600, 3_000), st.integers(0, 2**32), st.sampled_from([math.nan, math.inf, -math.inf, -0.0]))
def test_levels_shrink_and_keep_extremes(length: int, seed: int, odd: float) -> None:
    random = np.random.default_rng(seed)
    line = random.standard_normal(length)
    line[random.integers(0, length, size=length // 10)] = odd
    whole = Points(np.arange(length, dtype=np.int64), line)
    pieces = [
        Piece(0, number, number, len(part), whole.at(part))
        for number, part in enumerate(np.array_split(np.arange(len(line)), len(line) // 8))
    ]
    for level in range(1, MAX_LEVEL):
        by_sequence = {piece.sequence: piece for piece in pieces}
        groups = level_groups([extent(piece) for piece in pieces], [], level, SIZES, settled=True)
        pieces = [
            coarser(group, merge([by_sequence[member.sequence].points for member in group]), level)
            for group in groups
        ]
        for piece in pieces:
            steps = piece.points.steps
            covered = whole.between(int(steps[0]), int(steps[-1]))
            assert piece.stands_for == len(covered)
            assert len(piece.points) <= max(8, piece.stands_for // points_per_point(level))
            finite, kept = covered.values[np.isfinite(covered.values)], piece.points.values
            if len(finite):
                assert (finite.min(), finite.max()) == (
                    kept[np.isfinite(kept)].min(),
                    kept[np.isfinite(kept)].max(),
                )
