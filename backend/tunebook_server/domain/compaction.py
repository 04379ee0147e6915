"""Which chunks of a curve are joined, and what its coarser levels hold. Plans only; nothing is read or
written here.

Chunks stand in order of writing (their sequence). After joining, their steps increase from chunk to chunk as
well, so a level may be built over them: level 1 keeps one of 16 points, every further level one of 8 of those
below.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np

from tunebook_server.domain.chunk import Points
from tunebook_server.domain.decimate import decimate

LEVEL_1_FACTOR = 16
LEVEL_SHIFT = 3  # 8 of a level become one of the next
MAX_LEVEL = 8
LOOSE_CHUNKS = 64
"""So many chunks of a curve call for a compaction."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """In points. `merge_points` bounds what is sorted in memory at once."""

    chunk_points: int = 4_096
    group_points: int = 16_384
    merge_points: int = 2_000_000

    def level_points(self, level: int) -> int:
        """How many points of the curve a chunk of a level covers, at least."""
        return self.group_points << LEVEL_SHIFT * (level - 1)


def points_per_point(level: int) -> int:
    """How many points of a curve one point of a level stands for."""
    return 1 if level == 0 else LEVEL_1_FACTOR << LEVEL_SHIFT * (level - 1)


@dataclass(frozen=True, slots=True)
class Extent:
    """A stored chunk without its bytes; `points` counts what it stands for."""

    level: int
    sequence: int
    last_sequence: int
    points: int
    first_step: int
    last_step: int


@dataclass(frozen=True, slots=True)
class Piece:
    """A chunk to be stored."""

    level: int
    sequence: int
    last_sequence: int
    stands_for: int
    points: Points


def joins(chunks: Sequence[Extent], gaps: Collection[int], sizes: Sizes) -> list[Sequence[Extent]]:
    """Groups of two or more neighbours to be joined, out of all chunks of level 0.

    `gaps` are the sequences after which a batch may still arrive: nothing is joined across, because the place
    of a late batch in the order of writing would be lost.
    """
    groups: list[Sequence[Extent]] = []
    for run in _runs(chunks, gaps):
        pending: list[Extent] = []
        for atom in _atoms(run):
            if sum(chunk.points for chunk in atom) > sizes.merge_points and len(atom) > 1:
                groups.append(pending)
                pending = []
                continue
            pending += atom
            if sum(chunk.points for chunk in pending) >= sizes.chunk_points:
                groups.append(pending)
                pending = []
        groups.append(pending)
    return [group for group in groups if len(group) > 1]


def split(group: Sequence[Extent], points: Points, sizes: Sizes) -> list[Piece]:
    """The joined points of a group as chunks of about `chunk_points`, never more chunks than there were."""
    count = max(1, min(len(group), len(points) // sizes.chunk_points))
    sequences = [chunk.sequence for chunk in group[:count]]
    ends = [sequence - 1 for sequence in sequences[1:]] + [group[-1].last_sequence]
    places = np.array_split(np.arange(len(points)), count)
    return [
        Piece(0, sequence, end, len(place), points.at(place))
        for sequence, end, place in zip(sequences, ends, places, strict=True)
    ]


def level_groups(
    below: Sequence[Extent], there: Sequence[Extent], level: int, sizes: Sizes, *, settled: bool
) -> list[Sequence[Extent]]:
    """Groups of the chunks of `level` − 1 that a new chunk of `level` is built from.

    `settled`: no batch will be joined to the last chunk any more.
    """
    covered = max((chunk.last_sequence for chunk in there), default=-1)
    last_step = max((chunk.last_step for chunk in there), default=-1)
    groups: list[Sequence[Extent]] = []
    pending: list[Extent] = []
    for chunk in below if settled or level > 1 else below[:-1]:
        if chunk.sequence <= covered:
            continue
        if chunk.first_step <= last_step:
            break
        last_step = chunk.last_step
        pending.append(chunk)
        if sum(member.points for member in pending) >= sizes.level_points(level):
            groups.append(pending)
            pending = []
    return groups


def coarser(group: Sequence[Extent], points: Points, level: int) -> Piece:
    """One chunk of a level, from the merged points of its group."""
    stands_for = sum(chunk.points for chunk in group)
    kept = decimate(points.values, max(8, stands_for // points_per_point(level)))
    return Piece(level, group[0].sequence, group[-1].last_sequence, stands_for, points.at(kept))


def _runs(chunks: Sequence[Extent], gaps: Collection[int]) -> list[Sequence[Extent]]:
    """Cut where a gap lies between two neighbours."""
    marks = sorted(gaps)
    cut = np.searchsorted(marks, [chunk.sequence for chunk in chunks]) if marks else np.zeros(len(chunks))
    bounds = [0, *(np.flatnonzero(np.diff(cut)) + 1).tolist(), len(chunks)]
    return [chunks[start:end] for start, end in pairwise(bounds) if end > start]


def _atoms(run: Sequence[Extent]) -> list[Sequence[Extent]]:
    """Cut wherever all steps before lie below all steps after; an atom of several chunks has its steps
    entangled.
    """
    highest = list(accumulate((chunk.last_step for chunk in run), max))
    lowest = list(accumulate((chunk.first_step for chunk in reversed(run)), min))[::-1]
    bounds = [0, *(place for place in range(1, len(run)) if highest[place - 1] < lowest[place]), len(run)]
    return [run[start:end] for start, end in pairwise(bounds)]
