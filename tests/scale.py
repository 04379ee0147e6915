"""A study of any size in seconds: generated like the digits example, written by COPY into our tables."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine, Table

from tunebook_server.domain import chunk
from tunebook_server.domain.study import StudyDesign
from tunebook_server.services import projects, studies, templates
from tunebook_server.storage import tables
from tunebook_server.storage.engine import Connection, transaction

ACTOR = "user:owner"
BATCH_TRIALS = 2_000
INFEASIBLE_ABOVE_RATE = 1.0
METRICS = ("train/error", "train/loss", "valid/error", "valid/loss")

DOCUMENT = {
    "name": "optimizer",
    "goal": "Which optimizer trains the two-layer MLP best?",
    "objective": {"metric": "valid/error", "direction": "minimize", "evaluation": "best"},
    "sampler": {"name": "halton", "seed": 0},
    "budget": {"trials": 48, "parallel": 2, "attempts": 3},
    "job": {"template": "digits-mlp"},
    "space": [
        {"name": "optimizer", "type": "categorical", "choices": ["nesterov", "adam"], "role": "scientific"},
        {
            "name": "learning_rate",
            "type": "float",
            "low": 1e-3,
            "high": 10.0,
            "scale": "log",
            "when": {"optimizer": ["nesterov"]},
        },
        {
            "name": "learning_rate",
            "type": "float",
            "low": 1e-5,
            "high": 10.0,
            "scale": "log",
            "when": {"optimizer": ["adam"]},
        },
        {"name": "momentum", "type": "float", "low": 0.5, "high": 0.99, "when": {"optimizer": ["nesterov"]}},
        {"name": "weight_decay", "type": "float", "low": 1e-6, "high": 1e-2, "scale": "log"},
        {"name": "layers", "type": "integer", "low": 1, "high": 4},
        {"name": "batch_size", "type": "fixed", "value": 64},
    ],
}


@dataclass(frozen=True)
class Grown:
    """What a generated trial reported: one row of points a metric, NaN from where it diverged."""

    number: int
    parameters: dict[str, object]
    steps: NDArray[np.int64]
    curves: NDArray[np.float64]

    @property
    def infeasible(self) -> bool:
        return bool(np.isnan(self.curves[2]).all())


def build(
    engine: Engine,
    *,
    trials: int = 10_000,
    points: int = 100,
    project: str = "digits",
    running: int = 0,
) -> int:
    """Writes a study with ended trials, the last `running` of them still running; returns its id."""
    document = {
        **DOCUMENT,
        "name": f"optimizer {trials}",
        "budget": {"trials": max(trials, 48), "parallel": 2},
    }
    design = StudyDesign.parse(document)
    project_id = _project(engine, project)
    template = {"argv": ["python", "digits_mlp.py"], "folder": "/srv/digits", "environment": ["PATH", "HOME"]}
    templates.register(engine, project_id=project_id, name="digits-mlp", actor=ACTOR, **template)  # type: ignore[arg-type]
    study_id = studies.create(engine, project_id=project_id, design=design, actor=ACTOR).id
    with transaction(engine) as connection:
        metric_ids = _metrics(connection, study_id) if trials else {}
        for start in range(0, trials, BATCH_TRIALS):
            batch = list(_grow(design, start, min(start + BATCH_TRIALS, trials), points))
            _write(connection, study_id, batch, metric_ids, first_running=trials - running)
        _close(
            connection, study_id, trials, "finished" if trials >= design.budget and not running else "running"
        )
    if trials:  # an empty table that is known to be empty is gone through from end to end as it grows
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("ANALYZE trials, curves, metric_chunks")
    return study_id


def _project(engine: Engine, name: str) -> int:
    found = [summary.project for summary in projects.page(engine).items if summary.project.name == name]
    return (
        found[0] if found else projects.create(engine, name=name, goal="Digits below 2 % error", actor=ACTOR)
    ).id


def _grow(design: StudyDesign, first: int, last: int, points: int) -> Iterator[Grown]:
    """Trials `first` to `last`: their error falls to a floor, the lower the better their values."""
    configurations = design.drawing().suggest(design.space, seed=design.seed, index=first, count=last - first)
    steps = np.arange(1, points + 1, dtype=np.int64) * 10
    for number, configuration in enumerate(configurations, start=first):
        random = np.random.default_rng(number)
        rate = float(configuration["learning_rate"])
        good = 3e-3 if configuration["optimizer"] == "adam" else 0.1
        miss = abs(np.log10(rate / good))
        floor = 0.02 + 0.03 * miss**2 + 4.0 * float(configuration["weight_decay"])
        speed = 3.0 / (1 + miss)
        error = floor + 0.85 * np.exp(-speed * steps / steps[-1] * 4) + 0.004 * random.standard_normal(points)
        error = np.clip(error, 0.012, 0.95)
        train = np.clip(error - 0.01 * steps / steps[-1], 0.001, 0.95)
        curves = np.stack([train, train * 3, error, error * 3 + 0.02])
        if rate > INFEASIBLE_ABOVE_RATE:
            curves[:] = np.nan
        yield Grown(number, dict(configuration), steps, curves)


def _metrics(connection: Connection, study_id: int) -> dict[str, int]:
    rows = [{"study_id": study_id, "name": name} for name in METRICS]
    statement = tables.metrics.insert().returning(tables.metrics.c.name, tables.metrics.c.id)
    return {row.name: row.id for row in connection.execute(statement, rows)}


def _write(
    connection: Connection,
    study_id: int,
    batch: Sequence[Grown],
    metric_ids: dict[str, int],
    *,
    first_running: int,
) -> None:
    rows = [_trial(study_id, trial, trial.number >= first_running) for trial in batch]
    _copy(connection, tables.trials, rows)
    query = "SELECT number, id FROM trials WHERE study_id = %s AND number >= %s"
    found = connection.exec_driver_sql(query, (study_id, batch[0].number))
    ids: dict[int, int] = {row.number: row.id for row in found}
    held = [trial.number >= first_running for trial in batch]
    attempts = [_attempt(ids[t.number], t, row, h) for t, row, h in zip(batch, rows, held, strict=True)]
    _copy(connection, tables.attempts, attempts)
    _copy(connection, tables.curves, _curves(batch, ids, metric_ids))
    _copy(connection, tables.metric_chunks, _chunks(batch, ids, metric_ids))


def _trial(study_id: int, trial: Grown, running: bool) -> dict[str, object]:
    error = trial.curves[2]
    best = None if trial.infeasible else int(error.argmin())
    started = datetime.now(UTC) - timedelta(hours=5) + timedelta(seconds=trial.number)
    state = "running" if running else "infeasible" if trial.infeasible else "completed"
    return {
        "study_id": study_id,
        "number": trial.number,
        "space_version": 1,
        "sample_index": trial.number,
        "state": state,
        "epoch": 1,
        "attempts": 1,
        "parameters": json.dumps(trial.parameters),
        "seed": trial.number,
        "reason": "diverged" if state == "infeasible" else "",
        "objective": None if best is None else float(error[best]),
        "best_step": None if best is None else int(trial.steps[best]),
        "last_step": int(trial.steps[-1]),
        "objective_points": len(trial.steps),
        "created_at": started,
        "queued_at": started,
        "claimed_at": started,
        "started_at": started,
        "changed_at": datetime.now(UTC) - timedelta(hours=1),
        "finished_at": None if running else started + timedelta(seconds=2 + trial.number % 7 / 5),
        "lease_expires_at": datetime.now(UTC) + timedelta(hours=1) if running else None,
    }


def _attempt(trial_id: int, trial: Grown, row: dict[str, object], running: bool) -> dict[str, object]:
    return {
        "trial_id": trial_id,
        "epoch": 1,
        "host": f"gpu-{trial.number % 4}",
        "claimed_at": row["claimed_at"],
        "started_at": row["started_at"],
        "ended_at": row["finished_at"],
        "outcome": None if running else row["state"],
        "exit_status": None if running else 87 if trial.infeasible else 0,
    }


def _chunks(
    batch: Sequence[Grown], ids: dict[int, int], metric_ids: dict[str, int]
) -> Iterator[dict[str, object]]:
    for trial in batch:
        for name, values in zip(METRICS, trial.curves, strict=True):
            yield {
                **_summary(trial, values),
                "trial_id": ids[trial.number],
                "metric_id": metric_ids[name],
                "epoch": 1,
                "level": 0,
                "sequence": 0,
                "last_sequence": 0,
                "steps": chunk.encode_steps(trial.steps),
                "series": chunk.encode_values(values),
            }


def _curves(
    batch: Sequence[Grown], ids: dict[int, int], metric_ids: dict[str, int]
) -> Iterator[dict[str, object]]:
    for trial in batch:
        for name, values in zip(METRICS, trial.curves, strict=True):
            finite = not trial.infeasible
            yield {
                **_summary(trial, values),
                "trial_id": ids[trial.number],
                "metric_id": metric_ids[name],
                "epoch": 1,
                "last_value": float(values[-1]),
                "min_step": int(trial.steps[values.argmin()]) if finite else None,
                "max_step": int(trial.steps[values.argmax()]) if finite else None,
                "nonfinite_points": 0 if finite else len(values),
                "loose_chunks": 1,
            }


def _summary(trial: Grown, values: NDArray[np.float64]) -> dict[str, object]:
    return {
        "points": len(values),
        "first_step": int(trial.steps[0]),
        "last_step": int(trial.steps[-1]),
        "min_value": None if trial.infeasible else float(values.min()),
        "max_value": None if trial.infeasible else float(values.max()),
    }


def _copy(connection: Connection, table: Table, rows: Iterable[dict[str, object]]) -> None:
    rows = iter(rows)
    first = next(rows, None)
    if first is None:
        return
    names = tuple(first)
    cursor = connection.connection.cursor()
    with cursor.copy(f"COPY {table.name} ({', '.join(names)}) FROM STDIN") as copy:
        for row in (first, *rows):
            copy.write_row([row[name] for name in names])


def _close(connection: Connection, study_id: int, trials: int, state: str) -> None:
    """The study's own counters, as the services would have left them."""
    connection.exec_driver_sql(
        """
        UPDATE studies SET state = %(state)s, finished_at = CASE %(state)s WHEN 'finished' THEN now() END,
            next_number = %(trials)s, next_sample_index = %(trials)s, revision = revision + %(trials)s,
            best_trial_id = (SELECT id FROM trials
                WHERE study_id = %(study)s AND state = 'completed' AND objective IS NOT NULL
                ORDER BY objective, number LIMIT 1)
         WHERE id = %(study)s
        """,
        {"trials": trials, "study": study_id, "state": state},
    )
