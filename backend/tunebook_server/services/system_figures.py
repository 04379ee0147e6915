"""Figures of what a job used of its host: one attempt, one panel, a bounded number of points."""

from collections.abc import Mapping

from tunebook_server.domain.curve import Curve
from tunebook_server.domain.errors import NotFound
from tunebook_server.domain.numbers import encode
from tunebook_server.domain.system_metrics import BY_NAME, Panel, is_system
from tunebook_server.figures import system
from tunebook_server.figures.figure import Figure
from tunebook_server.services import curves
from tunebook_server.services.curve_figures import points_word
from tunebook_server.services.figure_kinds import Asked, Kind, Table, version_of_trials

POINTS = 1_000


def _draw(asked: Asked) -> Figure:
    panel, epoch, found = _read(asked)
    return system.draw(system.compute(found, panel, epoch=epoch))


def _table(asked: Asked, limit: int) -> Table:
    """One row a point, metric after metric; `seconds` since the start of the attempt."""
    _, epoch, found = _read(asked)
    rows = [
        (epoch, curve.metric, int(step), encode(float(value)))
        for curve in found
        for step, value in zip(curve.steps, curve.values, strict=True)
    ][:limit]
    names = ("attempt", "metric", "seconds", "value")
    return {name: [row[place] for row in rows] for place, name in enumerate(names)}


def _version(asked: Asked) -> str:
    return f"{version_of_trials(asked)}.{points_word(asked.engine, [_trial(asked)])}"


def _trial(asked: Asked) -> int:
    trial_id = asked.options.integer("trial", None, low=1, high=2**63 - 1)
    if trial_id not in asked.snapshot.columns.ids:
        raise NotFound(f"study {asked.study.id} has no trial with id {trial_id}", field="trial")
    return trial_id


def _read(asked: Asked) -> tuple[Panel, int, list[Curve]]:
    """The newest attempt that was sampled, unless one is named."""
    panel = BY_NAME[asked.options.word("panel", tuple(BY_NAME), "cpu")]
    epoch = asked.options.integer("epoch", 0, low=0, high=2**31 - 1)
    first, last = asked.options.range()
    epoch, found = curves.of_attempt(
        asked.engine,
        trial_id=_trial(asked),
        epoch=epoch or None,
        chosen=lambda metric: is_system(metric) and panel.label(metric) is not None,
        max_points=POINTS,
        first_step=None if first is None else int(first),
        last_step=None if last is None else int(last) + 1,
    )
    return panel, epoch, found


KINDS: Mapping[str, Kind] = {"system": Kind(_draw, _table, _version)}
