"""Figures of what a study's scheduler does: its rungs, and the lineage of a population."""

from collections.abc import Mapping

import numpy as np

from tunebook_server.domain.trial_columns import columns_by_key
from tunebook_server.figures import lineage, rungs
from tunebook_server.figures.axis import scale_of
from tunebook_server.figures.figure import Figure
from tunebook_server.services import rungs as judgements
from tunebook_server.services.figure_kinds import Asked, Kind, Table, version_of_trials
from tunebook_server.services.trial_figures import varied_key
from tunebook_server.storage import stretches
from tunebook_server.storage.engine import transaction
from tunebook_server.storage.rungs import Rung
from tunebook_server.storage.stretches import Trained

ATTEMPTS_MOST = 5_000
BRACKETS_MOST = 64


def _judged(asked: Asked) -> list[Rung]:
    bracket = asked.options.integer("bracket", 0, low=0, high=BRACKETS_MOST)
    return [each for each in judgements.judged(asked.engine, asked.study) if each.bracket == bracket]


def _numbers(asked: Asked, found: list[Rung]) -> list[int]:
    columns = asked.snapshot.columns
    numbers = dict(zip(columns.ids.tolist(), columns.numbers.tolist(), strict=True))
    return [numbers.get(each.trial_id, 0) for each in found]


def _rungs(asked: Asked) -> Figure:
    found = _judged(asked)
    plot = rungs.compute(
        asked.study.objective,
        ids=np.array([each.trial_id for each in found], dtype=np.int64),
        numbers=np.array(_numbers(asked, found), dtype=np.int64),
        steps=np.array([each.step for each in found], dtype=np.int64),
        losses=np.array([each.loss for each in found], dtype=np.float64),
        stopped=np.array([each.decision == "stop" for each in found], dtype=np.bool_),
    )
    return rungs.draw(plot)


def _rungs_table(asked: Asked, limit: int) -> Table:
    found = _judged(asked)[:limit]
    sign = asked.study.objective.sign
    return {
        "trial_id": [each.trial_id for each in found],
        "number": _numbers(asked, found),
        "bracket": [each.bracket for each in found],
        "step": [each.step for each in found],
        "objective": [sign * each.loss if np.isfinite(each.loss) else None for each in found],
        "decision": [each.decision for each in found],
    }


def _rungs_version(asked: Asked) -> str:
    return f"{version_of_trials(asked)}.{len(_judged(asked))}"


def _trained(asked: Asked) -> list[Trained]:
    with transaction(asked.engine) as connection:
        return stretches.of_study(connection, asked.study.id, ATTEMPTS_MOST)


def _lineage(asked: Asked) -> Figure:
    key, found = varied_key(asked), _trained(asked)
    values = columns_by_key(asked.study.space, [each.parameters for each in found])[key]
    drawn = tuple(
        lineage.Stretch(
            each.trial_id,
            each.number,
            each.epoch,
            first_step=each.first_step,
            last_step=max(each.last_step, each.first_step),
            value=float(value),
            parent=each.parent,
        )
        for each, value in zip(found, values, strict=True)
    )
    scale = scale_of(key, asked.study.space.parameter(key))
    return lineage.draw(lineage.LineagePlot(scale, _ranked(asked, found), drawn))


def _ranked(asked: Asked, found: list[Trained]) -> tuple[int, ...]:
    """The members' numbers, the best first."""
    columns = asked.snapshot.columns
    losses = asked.study.objective.sign * columns.objective
    by_number = dict(zip(columns.numbers.tolist(), losses.tolist(), strict=True))
    numbers = dict.fromkeys(each.number for each in found)
    return tuple(sorted(numbers, key=lambda number: (np.nan_to_num(by_number[number], nan=np.inf), number)))


def _lineage_table(asked: Asked, limit: int) -> Table:
    key, found = varied_key(asked), _trained(asked)[:limit]
    located = [asked.study.space.locate(each.parameters).get(key) for each in found]
    return {
        "trial_id": [each.trial_id for each in found],
        "number": [each.number for each in found],
        "attempt": [each.epoch for each in found],
        "first_step": [each.first_step for each in found],
        "last_step": [each.last_step for each in found],
        "copied_from": [each.parent for each in found],
        "value": located,
    }


def _lineage_version(asked: Asked) -> str:
    found = _trained(asked)
    return f"{version_of_trials(asked)}.{len(found)}.{sum(each.last_step for each in found)}"


KINDS: Mapping[str, Kind] = {
    "rungs": Kind(_rungs, _rungs_table, _rungs_version),
    "lineage": Kind(_lineage, _lineage_table, _lineage_version),
}
