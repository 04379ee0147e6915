"""What the table of trials can be sorted and filtered by, as expressions over a trial and its worker."""

from collections.abc import Mapping
from typing import Any, Literal

from sqlalchemy import ColumnElement, DateTime, Double, Text, and_, case, cast, extract, func, literal
from sqlalchemy.types import TypeEngine

from tunebook_server.domain.places import Place
from tunebook_server.storage import tables

Kind = Literal["number", "text", "time"]
TYPES: Mapping[Kind, TypeEngine[Any]] = {"number": Double(), "text": Text(), "time": DateTime(timezone=True)}

trials = tables.trials
EVERY = trials.outerjoin(tables.workers, tables.workers.c.id == trials.c.worker_id)
"""Trials with their workers: what a query of these fields selects from."""


def field(name: str) -> ColumnElement[Any]:
    """NULL where the trial has none: no text is none."""
    match name:
        case "duration":
            return cast(extract("epoch", trials.c.finished_at - trials.c.started_at), Double())
        case "worker":
            return tables.workers.c.name
        case "note" | "reason":
            return func.nullif(trials.c[name], "")
        case _:
            return trials.c[name]


def parameter(place: Place, kind: Kind) -> ColumnElement[Any]:
    """NULL where the hyperparameter is not active, or was recorded as something else than a number."""
    # Only numbers are cast: what an older version of the space put there must not end a page.
    text = _text(place.name)
    is_number = func.json_typeof(trials.c.parameters[place.name]) == "number"
    fits = is_number if kind == "number" else literal(True)
    needed = [_text(name).in_(values) for name, values in place.needs]
    return case((and_(fits, *needed), cast(text, TYPES[kind])))


def _text(name: str) -> ColumnElement[str]:
    text: ColumnElement[str] = trials.c.parameters[name].as_string()
    return text
