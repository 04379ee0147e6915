"""The table of trials: which columns there are, which are shown, and where their headers lead."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tunebook_server.domain.document import show
from tunebook_server.domain.errors import Invalid
from tunebook_server.domain.search_space import Float, Integer
from tunebook_server.domain.study import Study
from tunebook_server.figures.labels import key_words
from tunebook_server.services.trial_pages import TrialRow

PARAMETERS_SHOWN = 16
"""Hyperparameters that the table shows where nothing was chosen."""
_HIDDEN = frozenset(("attempts", "created_at", "started_at"))


@dataclass(frozen=True, slots=True)
class Column:
    """`name` as the address says it, in `columns` and in `sort`; `sort` is empty where there is no order."""

    name: str
    words: str
    sort: str = ""
    """The order that the first click on its header gives."""
    is_number: bool = False
    key: str = ""
    """Of a hyperparameter."""
    conditions: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """Rows and columns; `path` is the page that a header leads to, empty for the one that it stands on."""

    rows: Sequence[TrialRow]
    columns: Sequence[Column]
    sort: str
    query: Mapping[str, str | Sequence[str]]
    path: str = ""


def best_first(study: Study) -> str:
    return "objective" if study.objective.direction == "minimize" else "-objective"


def offered(study: Study) -> list[Column]:
    """Every column but the trial's number, which is always shown; in the order of the table."""
    return [
        Column("state", "State", "state"),
        Column("objective", study.objective.metric, best_first(study), is_number=True),
        Column("best_step", "Best step", "best_step", is_number=True),
        Column("last_step", "Last step", "last_step", is_number=True),
        *(_parameter(study, key) for key in study.space.keys),
        Column("duration", "Duration", "-duration", is_number=True),
        Column("attempts", "Attempts", "-attempts", is_number=True),
        Column("worker", "Worker", "worker"),
        Column("created_at", "Queued", "-created_at"),
        Column("started_at", "Started", "-started_at"),
        Column("finished_at", "Ended", "-finished_at"),
        Column("note", "Note"),
    ]


def chosen(study: Study, names: Sequence[str]) -> list[Column]:
    """The columns of these names; without any, those that most want. Raises Invalid for an unknown one."""
    columns = offered(study)
    known = {column.name for column in columns}
    for name in names:
        if name not in known:
            remedy = f"Choose among {', '.join(column.name for column in columns[:20])}."
            raise Invalid(f"the table has no column {show(name)}", field="columns", remedy=remedy)
    wanted = set(names) or known - _HIDDEN - _left_out(study)
    return [column for column in columns if column.name in wanted]


def _left_out(study: Study) -> set[str]:
    shown = {study.space.key(parameter) for parameter in study.space.varied[:PARAMETERS_SHOWN]}
    return {f"parameters.{key}" for key in study.space.keys if key not in shown}


def _parameter(study: Study, key: str) -> Column:
    name, conditions = key_words(key)
    is_number = isinstance(study.space.parameter(key), Float | Integer)
    return Column(f"parameters.{key}", name, f"parameters.{key}", is_number, key, conditions)
