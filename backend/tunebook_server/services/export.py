"""A study's trials for other programs: CSV for spreadsheets, JSON Lines for code, tables of figures as
Parquet. Memory stays bounded."""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tunebook_server.domain import numbers
from tunebook_server.domain.errors import Invalid, NotFound
from tunebook_server.domain.search_space import SearchSpace
from tunebook_server.domain.system_metrics import of_jobs
from tunebook_server.services.curves import visible_last_values
from tunebook_server.services.trial_pages import wanted
from tunebook_server.storage import curves, export, studies
from tunebook_server.storage.engine import Engine, transaction
from tunebook_server.storage.export import ExportedTrial
from tunebook_server.storage.trial_pages import Wanted

PORTION_TRIALS = 1_000
PARQUET = "application/vnd.apache.parquet"
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")  # OWASP, "CSV Injection"

Cell = float | int | str | bool | datetime | None
COLUMNS = tuple(name for name in ExportedTrial.__slots__ if name not in ("parameters", "reason", "note"))
TEXTS = ("reason", "note")


@dataclass(frozen=True, slots=True)
class _Head:
    study_id: int
    space: SearchSpace
    metrics: Sequence[str]
    wanted: Wanted


def trials_csv(
    engine: Engine, *, study_id: int, states: Sequence[str] = (), expression: str = ""
) -> Iterator[bytes]:
    """One row a trial: its columns, `parameters.KEY` by key of the search space, `last.METRIC`.

    Text that a spreadsheet would run as a formula gets an apostrophe in front. Raises NotFound, and Invalid
    for a state or a filter, at once.
    """
    return _csv(engine, _head(engine, study_id, states, expression))


def trials_json(
    engine: Engine, *, study_id: int, states: Sequence[str] = (), expression: str = ""
) -> Iterator[bytes]:
    """One JSON object a line; NaN and the infinities as strings. Raises like `trials_csv`."""
    return _json(engine, _head(engine, study_id, states, expression))


def _csv(engine: Engine, head: _Head) -> Iterator[bytes]:
    parameters = [f"parameters.{key}" for key in head.space.keys]
    last = [f"last.{metric}" for metric in head.metrics]
    yield _lines([[*COLUMNS, *TEXTS, *parameters, *last]])
    for trials, last_values in _portions(engine, head):
        rows: list[list[Cell]] = []
        for trial in trials:
            located = head.space.locate(trial.parameters)
            shown = last_values[trial.id]
            rows.append(
                [
                    *(getattr(trial, name) for name in (*COLUMNS, *TEXTS)),
                    *(located.get(key) for key in head.space.keys),
                    *(shown.get(metric) for metric in head.metrics),
                ]
            )
        yield _lines(rows)


def _json(engine: Engine, head: _Head) -> Iterator[bytes]:
    for trials, last_values in _portions(engine, head):
        lines = []
        for trial in trials:
            document: dict[str, object] = {name: _plain(getattr(trial, name)) for name in (*COLUMNS, *TEXTS)}
            document["parameters"] = dict(trial.parameters)
            document["last"] = {
                metric: numbers.encode(value) for metric, value in last_values[trial.id].items()
            }
            lines.append(json.dumps(document, ensure_ascii=False) + "\n")
        yield "".join(lines).encode()


def table_csv(columns: Mapping[str, Sequence[Cell]]) -> bytes:
    """Columns of equal length, with their names in the first row."""
    return _lines([list(columns), *zip(*columns.values(), strict=True)])


def table_parquet(columns: Mapping[str, Sequence[float | int | str | bool | None]]) -> bytes:
    """A Parquet file of columns of equal length; words for NaN and the infinities become numbers again.

    Raises Invalid where pyarrow, the extra `parquet`, is not installed.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        remedy = "Install it with pip install 'tunebook[parquet]', or ask for format=csv."
        raise Invalid(
            "this server cannot write Parquet: pyarrow is missing", field="format", remedy=remedy
        ) from None
    table = pa.table({name: pa.array(_alike(column)) for name, column in columns.items()})
    content = io.BytesIO()
    parquet.write_table(table, content)
    return content.getvalue()


def _alike(column: Sequence[float | int | str | bool | None]) -> list[Any]:
    """The column in one type: whole numbers, numbers, true and false, or else text."""
    kinds = {type(cell) for cell in column if cell is not None}
    if kinds in ({int}, {bool}):
        return list(column)
    words = {cell for cell in column if isinstance(cell, str)}
    if kinds and kinds <= {int, float, str} and kinds != {str} and words <= numbers.WORDS:
        return [None if cell is None else numbers.decode(cell) for cell in column]
    return [cell if cell is None or isinstance(cell, str) else str(cell) for cell in column]


def _head(engine: Engine, study_id: int, states: Sequence[str], expression: str) -> _Head:
    with transaction(engine) as connection:
        study = studies.get(connection, study_id)
        if study is None:
            raise NotFound(f"there is no study {study_id}")
        found = wanted(study, states, expression)
        return _Head(study_id, study.space, of_jobs(curves.metric_names(connection, study_id)), found)


def _portions(
    engine: Engine, head: _Head
) -> Iterator[tuple[list[ExportedTrial], dict[int, dict[str, float]]]]:
    """A transaction each: a slow reader holds none open."""
    after = -1
    while True:
        with transaction(engine) as connection:
            trials = export.portion(
                connection,
                study_id=head.study_id,
                wanted=head.wanted,
                after_number=after,
                limit=PORTION_TRIALS,
            )
            if not trials:
                return
            ids = [trial.id for trial in trials]
            last_values = visible_last_values(connection, trial_ids=ids, metrics=None)
        after = trials[-1].number
        yield trials, last_values


def _lines(rows: Sequence[Sequence[Cell]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows([_cell(cell) for cell in row] for row in rows)
    return text.getvalue().encode()


def _cell(cell: Cell) -> str:
    if isinstance(cell, str):
        is_formula = cell.startswith(FORMULA_STARTS) and cell != "-Infinity"
        return "'" + cell if is_formula else cell
    if isinstance(cell, float):
        return str(numbers.encode(cell))
    if isinstance(cell, bool):
        return "true" if cell else "false"
    return "" if cell is None else str(_plain(cell))


def _plain(cell: Cell) -> float | int | str | None:
    if isinstance(cell, datetime):
        return cell.isoformat()
    return numbers.encode(cell) if isinstance(cell, float) else cell
