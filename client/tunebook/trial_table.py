"""All trials of a study, a row each: a list of dicts, or a DataFrame where there is a library for it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal
from urllib.parse import urlencode

from tunebook.api import Api

Frame = Literal["auto", "list", "pandas", "polars"]
State = Literal["queued", "claimed", "running", "completed", "infeasible", "stopped", "failed"]
Row = dict[str, Any]

PAGE_TRIALS = 1_000
NUMBERS = ("number", "id", "best_step", "last_step")
TIMES = ("started_at", "finished_at")
COLUMNS = (
    "number",
    "id",
    "state",
    "objective",
    "best_step",
    "last_step",
    "started_at",
    "finished_at",
    "duration_seconds",
)
WORDS = ("NaN", "Infinity", "-Infinity")  # of JSON, which has no numbers for them


def read(
    api: Api, study_id: int, *, sort: str, states: Sequence[State], limit: int | None, expression: str = ""
) -> tuple[list[str], list[Row]]:
    """The names of the columns, and the rows: first the trial's own, then a column for every key of the
    search space, None where a hyperparameter was not active.

    A page after another by cursor: a trial that is added meanwhile neither repeats nor hides another.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"limit is {limit}; use 1 or more, or None for all trials")
    keys: list[str] = api.get(f"/studies/{study_id}")["keys"]
    columns = {key: f"parameters.{key}" if key in COLUMNS else key for key in keys}
    asked = [("sort", sort), ("filter", expression), *(("state", state) for state in states)]
    rows = [_row(trial, columns) for trial in _trials(api, study_id, asked, limit)]
    return [*COLUMNS, *columns.values()], rows


def maker(frame: Frame) -> Callable[[Sequence[str], list[Row]], Any]:
    """What turns names and rows into a `frame`: a DataFrame of pandas or polars, or the list itself; "auto"
    takes pandas where it can be imported, else polars, else the list.

    Raises ImportError, with the command that installs it, for a library that is not there.
    """
    if frame not in ("auto", "list", "pandas", "polars"):
        raise ValueError(f"frame is {frame!r}; use auto, list, pandas or polars")
    for library, make in (("pandas", _pandas), ("polars", _polars)):
        if frame == library and not _has(library):
            remedy = f'run `pip install {library}`, or ask for trials(frame="list")'
            raise ImportError(f"{library} is not installed: {remedy}", name=library)
        if frame == library or (frame == "auto" and _has(library)):
            return make
    return lambda _, rows: rows


def _trials(
    api: Api, study_id: int, asked: Sequence[tuple[str, str]], limit: int | None
) -> Iterator[Mapping[str, Any]]:
    cursor, left = None, limit
    while left is None or left > 0:
        count = PAGE_TRIALS if left is None else min(PAGE_TRIALS, left)
        query = urlencode([*asked, ("limit", count), *([("cursor", cursor)] if cursor else [])])
        page = api.get(f"/studies/{study_id}/trials?{query}")
        yield from page["items"]
        cursor, left = page["next"], None if left is None else left - count
        if cursor is None:
            return


def _row(trial: Mapping[str, Any], columns: Mapping[str, str]) -> Row:
    started, finished = (
        None if trial[name] is None else datetime.fromisoformat(trial[name]) for name in TIMES
    )
    objective = trial["objective"]
    return {
        **{name: trial[name] for name in COLUMNS[:6]},
        "objective": float(objective) if objective in WORDS else objective,
        "started_at": started,
        "finished_at": finished,
        "duration_seconds": (finished - started).total_seconds() if started and finished else None,
        **{column: trial["values"].get(key) for key, column in columns.items()},
    }


def _has(library: str) -> bool:
    try:
        __import__(library)
    except ImportError:
        return False
    return True


def _pandas(names: Sequence[str], rows: list[Row]) -> Any:
    import pandas as pd

    kinds = {
        **dict.fromkeys(NUMBERS, "Int64"),
        **dict.fromkeys(TIMES, "datetime64[us, UTC]"),
        **dict.fromkeys(("number", "id"), "int64"),
        **dict.fromkeys(("objective", "duration_seconds"), "float64"),
        "state": "str",
    }
    return pd.DataFrame({name: [row[name] for row in rows] for name in names}).astype(kinds)


def _polars(names: Sequence[str], rows: list[Row]) -> Any:
    import polars as pl

    kinds: dict[str, Any] = {
        **dict.fromkeys(NUMBERS, pl.Int64),
        **dict.fromkeys(TIMES, pl.Datetime("us", "UTC")),
        **dict.fromkeys(("objective", "duration_seconds"), pl.Float64),
        "state": pl.String,
    }
    columns = {name: [row[name] for row in rows] for name in names}
    return pl.DataFrame(columns, schema_overrides=kinds, strict=False)
