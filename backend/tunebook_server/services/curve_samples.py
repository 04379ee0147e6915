"""Long curves as runs of the points that were reported: thinning to extremes would falsify their noise."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tunebook_server.domain.chunk import Points, merge
from tunebook_server.domain.curve import Curve
from tunebook_server.services.curves import visible
from tunebook_server.storage import curves
from tunebook_server.storage.curves import Portion
from tunebook_server.storage.engine import Engine, transaction

RUNS = 20  # evenly over the points of a curve: four of them in its last fifth
RUN_POINTS = 100  # neighbours, so that their correlation can be seen


def runs(engine: Engine, thinned: Sequence[Curve]) -> list[Curve]:
    """Of each thinned curve `RUNS` stretches of about `RUN_POINTS` points, as they were reported.

    Costs as much for a curve of ten thousand points as for one of ten million: a thinned curve holds two
    points of every bucket of equally many, so its own steps say where to look.
    """
    if not thinned:
        return []
    with transaction(engine) as connection:
        ids, names = {curve.trial_id for curve in thinned}, {curve.metric for curve in thinned}
        rows = curves.by_metric(curves.rows(connection, trial_ids=sorted(ids), metrics=sorted(names)))
        asked: list[tuple[int, int, Portion]] = [
            (place, turn, portion)
            for place, curve in enumerate(thinned)
            for turn, (first, last) in enumerate(_windows(curve))
            for row in rows.get((curve.trial_id, curve.metric), ())
            if (portion := visible(row, first, last)) is not None
        ]
        loaded = curves.load(connection, [portion for _, _, portion in asked])
    parts: dict[int, dict[int, list[Points]]] = {}
    for (place, turn, _), found in zip(asked, loaded, strict=True):
        parts.setdefault(place, {}).setdefault(turn, []).append(found.points)
    return [_joined(curve, parts.get(place, {})) for place, curve in enumerate(thinned)]


def _windows(curve: Curve) -> list[tuple[int, int]]:
    """Ranges of steps that hold a run each, from the start of the curve to its end."""
    count = len(curve.steps)
    width = -(-RUN_POINTS * count // curve.total_points) + 1
    starts = np.linspace(0, max(count - 1 - width, 0), RUNS).astype(int)
    return [(int(curve.steps[start]), int(curve.steps[min(start + width, count - 1)])) for start in starts]


def _joined(curve: Curve, parts: dict[int, list[Points]]) -> Curve:
    """The first points of the first run, the last of every other: both ends of the curve are among them."""
    points = merge([_cut(merge(found), head=turn == 0) for turn, found in sorted(parts.items())])
    return replace(curve, steps=points.steps, values=points.values)


def _cut(points: Points, *, head: bool) -> Points:
    start = 0 if head else max(len(points) - RUN_POINTS, 0)
    return points.at(np.arange(start, min(start + RUN_POINTS, len(points))))
