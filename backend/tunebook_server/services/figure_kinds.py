"""A kind of figure: how it is drawn, which numbers stand behind it, and what dates it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tunebook_server.domain.numbers import encode
from tunebook_server.domain.study import Study
from tunebook_server.domain.trial_columns import STATES
from tunebook_server.figures.axis import Scale
from tunebook_server.figures.figure import Figure
from tunebook_server.services import compared
from tunebook_server.services.compared import STUDIES_MOST, Compared
from tunebook_server.services.figure_options import Options
from tunebook_server.services.trial_columns import Snapshot
from tunebook_server.storage.engine import Engine

OBJECTIVE_SCALES = ("auto", "linear", "log")
TRIAL_COLUMNS = ("trial_id", "number", "state", "best_step", "last_step", "share")

Column = Sequence[int | float | str | bool | None]
Table = dict[str, Column]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for a figure of a study."""

    engine: Engine
    study: Study
    snapshot: Snapshot
    options: Options


def version_of_trials(asked: Asked) -> str:
    """Changes exactly when the space, or a trial's state, objective or value does."""
    return f"{asked.study.id}.{asked.study.space_version}.{asked.snapshot.version}"


@dataclass(frozen=True)
class AskedAcross:
    """A request for a figure of several studies, or of trials of several: the options name them."""

    engine: Engine
    options: Options

    @cached_property
    def compared(self) -> Compared:
        ids = self.options.integers("studies", most=STUDIES_MOST)
        return compared.read(self.engine, study_ids=ids, by=self.options.text("by", ""))


@dataclass(frozen=True, slots=True)
class Across:
    """How a kind of figure is made of several studies; the members are as those of `Kind`."""

    draw: Callable[[AskedAcross], Figure]
    table: Callable[[AskedAcross, int], Table]
    version: Callable[[AskedAcross], str]


@dataclass(frozen=True, slots=True)
class Kind:
    """`table(asked, limit)`: columns of one length, of at most `limit` rows; `version` is the same word as
    long as the figure stays the same; `across` where it can be made of several studies, too.
    """

    draw: Callable[[Asked], Figure]
    table: Callable[[Asked, int], Table]
    version: Callable[[Asked], str] = version_of_trials
    across: Across | None = None


def trial_table(asked: Asked, limit: int) -> Table:
    """Id, number, state and objective of every trial: the first columns of most tables. A metric that is
    called like another column of a trial is `objective.METRIC`.
    """
    columns, metric = asked.snapshot.columns, asked.study.objective.metric
    return {
        "trial_id": columns.ids[:limit].tolist(),
        "number": columns.numbers[:limit].tolist(),
        "state": [str(STATES[code]) for code in columns.states[:limit]],
        f"objective.{metric}" if metric in TRIAL_COLUMNS else metric: cells(columns.objective[:limit]),
    }


def table_with_values(asked: Asked, limit: int, scales: Sequence[Scale]) -> Table:
    """A row a trial; a hyperparameter that is called like a column of the trial is `parameters.NAME`."""
    table = trial_table(asked, limit)
    taken = set(table)
    for scale in scales:
        values = asked.snapshot.columns.values[scale.key][:limit]
        column: Column = named(scale.names, values) if scale.names else cells(values)
        table[f"parameters.{scale.key}" if scale.key in taken else scale.key] = column
    return table


def cells(values: NDArray[np.float64]) -> Column:
    return [None if np.isnan(value) else encode(float(value)) for value in values]


def named(names: Sequence[str], places: NDArray[np.float64]) -> Column:
    return [None if np.isnan(place) else names[int(place)] for place in places]
