"""Compaction: called again and again in the background; each call does a bounded piece of the work."""

from collections.abc import Sequence
from dataclasses import dataclass

from tunebook_server.domain.compaction import (
    LOOSE_CHUNKS,
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
from tunebook_server.storage import compaction
from tunebook_server.storage.compaction import CurveKey
from tunebook_server.storage.engine import Connection, Engine, transaction

SIZES = Sizes()
UNJOINED = 32  # chunks beside gaps count for so much at most: else every call would look at them again

Group = tuple[CurveKey, Sequence[Extent]]


@dataclass(frozen=True, slots=True)
class Work:
    """The groups that one transaction can afford, and the curves that have more."""

    groups: Sequence[Group]
    unfinished: frozenset[CurveKey]


def compact(
    engine: Engine, *, limit: int = 100, loose_chunks: int = LOOSE_CHUNKS, sizes: Sizes = SIZES
) -> int:
    """Compacts up to `limit` curves, one transaction a trial; returns how many.

    A curve is due with `loose_chunks` chunks, or with two once its attempt is over. Trials that are locked
    just now are left for the next call.
    """
    with transaction(engine) as connection:
        due = compaction.due(connection, loose_chunks=loose_chunks, limit=limit)
    done = 0
    for trial_id, keys in due.items():
        with transaction(engine) as connection:
            done += _compact(connection, trial_id, keys, loose_chunks, sizes)
    return done


def _compact(
    connection: Connection, trial_id: int, keys: Sequence[CurveKey], loose_chunks: int, sizes: Sizes
) -> int:
    held = compaction.lock(connection, trial_id)
    if held is None:
        return 0
    open_epoch = held[0] if held[1] else None
    chunks = compaction.extents(connection, trial_id, keys)
    joined = _join(connection, trial_id, chunks, open_epoch, sizes)
    if joined.groups:
        chunks = compaction.extents(connection, trial_id, keys)
    levelled = _build_levels(connection, trial_id, chunks, open_epoch, sizes)
    unfinished = joined.unfinished | levelled
    compaction.set_loose(
        connection,
        trial_id,
        {
            key: loose_chunks if key in unfinished else _loose(chunks[key], open_epoch == key.epoch, sizes)
            for key in keys
        },
    )
    return len(keys)


def _join(
    connection: Connection,
    trial_id: int,
    chunks: dict[CurveKey, list[Extent]],
    open_epoch: int | None,
    sizes: Sizes,
) -> Work:
    work = _affordable(_joins(connection, trial_id, chunks, open_epoch, sizes), sizes)
    if work.groups:
        points = compaction.merged(connection, trial_id, work.groups)
        pieces = [
            (key, piece)
            for (key, group), merged in zip(work.groups, points, strict=True)
            for piece in split(group, merged, sizes)
        ]
        compaction.delete(connection, trial_id, work.groups)
        compaction.insert(connection, trial_id, pieces)
    return work


def _joins(
    connection: Connection,
    trial_id: int,
    chunks: dict[CurveKey, list[Extent]],
    open_epoch: int | None,
    sizes: Sizes,
) -> list[Group]:
    """First as if nothing were missing; then, for an attempt that goes on, with the gaps that matter."""
    planned: list[Group] = []
    for key, extents in chunks.items():
        lowest = [chunk for chunk in extents if chunk.level == 0]
        groups = joins(lowest, (), sizes)
        if groups and key.epoch == open_epoch:
            first = groups[0][0].sequence
            gaps = compaction.gaps(connection, trial_id, key.epoch, first_sequence=first)
            groups = joins(lowest, gaps, sizes) if gaps else groups
        planned += [(key, group) for group in groups]
    return planned


def _build_levels(
    connection: Connection,
    trial_id: int,
    chunks: dict[CurveKey, list[Extent]],
    open_epoch: int | None,
    sizes: Sizes,
) -> frozenset[CurveKey]:
    """Level by level; returns the curves with more to build than this transaction affords."""
    unfinished: frozenset[CurveKey] = frozenset()
    for level in range(1, MAX_LEVEL + 1):
        planned = []
        for key, extents in chunks.items():
            below = [chunk for chunk in extents if chunk.level == level - 1]
            there = [chunk for chunk in extents if chunk.level == level]
            settled = key.epoch != open_epoch
            planned += [(key, group) for group in level_groups(below, there, level, sizes, settled=settled)]
        work = _affordable(planned, sizes)
        unfinished |= work.unfinished
        if not work.groups:
            continue
        points = compaction.merged(connection, trial_id, work.groups)
        pieces = [
            (key, coarser(group, merged, level))
            for (key, group), merged in zip(work.groups, points, strict=True)
        ]
        compaction.insert(connection, trial_id, pieces)
        for key, piece in pieces:
            chunks[key].append(_extent(piece))
    return unfinished


def _affordable(groups: Sequence[Group], sizes: Sizes) -> Work:
    """The first groups with `merge_points` together; one at least."""
    total = 0
    for place, (_, group) in enumerate(groups):
        total += sum(chunk.points // points_per_point(chunk.level) for chunk in group)
        if place and total > sizes.merge_points:
            return Work(groups[:place], frozenset(key for key, _ in groups[place:]))
    return Work(groups, frozenset())


def _loose(chunks: Sequence[Extent], is_open: bool, sizes: Sizes) -> int:
    if not is_open:
        return 0
    small = sum(chunk.level == 0 and chunk.points < sizes.chunk_points for chunk in chunks)
    return min(small, UNJOINED)


def _extent(piece: Piece) -> Extent:
    steps = piece.points.steps
    return Extent(
        piece.level, piece.sequence, piece.last_sequence, piece.stands_for, int(steps[0]), int(steps[-1])
    )
