"""Figures of several studies: isolation with a place for each, best of k and distributions overlaid."""

import numpy as np
from numpy.typing import NDArray

from tunebook_server.domain.isolation import Isolation, isolate_groups
from tunebook_server.domain.joined import joined
from tunebook_server.domain.trial_columns import STATES
from tunebook_server.figures import best_of_k, best_of_k_overlaid, distribution, isolation
from tunebook_server.figures.axis import Scale
from tunebook_server.figures.figure import Figure
from tunebook_server.services.compared import STUDIES_MOST, Compared
from tunebook_server.services.figure_kinds import OBJECTIVE_SCALES, Across, AskedAcross, Table, cells
from tunebook_server.services.isolation_table import isolation_table


def scale_of(compared: Compared) -> Scale:
    """The axis on which every study has a place, under the name that tells it apart."""
    names = compared.told.names
    return Scale(compared.told.key, "choice", 0.0, float(len(names) - 1), names)


def noun_of(compared: Compared) -> str:
    return "study" if compared.told.by_name else "value"


def _divergent(compared: Compared) -> NDArray[np.bool_]:
    """By the measure of each study: beside a better one, all trials of a poor study would be divergent."""
    return np.concatenate([kept.columns.divergent(compared.objective()) for kept in compared.snapshots])


def isolation_plot(
    compared: Compared, *, clip: bool = True, objective_scale: str = "auto"
) -> isolation.IsolationPlot:
    """Raises Invalid where the studies have several objectives."""
    objective = compared.objective()
    columns, groups = joined([kept.columns for kept in compared.snapshots])
    return isolation.compute(
        columns,
        groups,
        scale_of(compared),
        objective,
        noun=noun_of(compared),
        divergent=_divergent(compared),
        clip=clip,
        objective_scale=objective_scale,
    )


def _isolation(asked: AskedAcross) -> Figure:
    clip, scale = _axis(asked)
    return isolation.draw(isolation_plot(asked.compared, clip=clip, objective_scale=scale))


def _isolation_table(asked: AskedAcross, limit: int) -> Table:
    compared = asked.compared
    columns, groups = joined([kept.columns for kept in compared.snapshots])
    return table_of(compared, isolate_groups(columns, groups, compared.objective()), limit)


def table_of(compared: Compared, found: Isolation, limit: int = STUDIES_MOST) -> Table:
    """The isolation of the studies, a row for each."""
    columns, _ = joined([kept.columns for kept in compared.snapshots])
    table = isolation_table(columns, found, scale_of(compared), compared.objective(), limit)
    return {"study_id": [study.id for study in compared.studies][:limit], **table}


def _distribution(asked: AskedAcross) -> Figure:
    compared = asked.compared
    clip, objective_scale = _axis(asked)
    columns, groups = joined([kept.columns for kept in compared.snapshots])
    plot = distribution.compute(
        columns,
        compared.objective(),
        groups=groups,
        scale=scale_of(compared),
        noun=noun_of(compared),
        divergent=_divergent(compared),
        clip=clip,
        objective_scale=objective_scale,
    )
    return distribution.draw(plot)


def _distribution_table(asked: AskedAcross, limit: int) -> Table:
    """A row a trial, study after study."""
    compared = asked.compared
    columns, groups = joined([kept.columns for kept in compared.snapshots])
    member = groups.member[:limit].tolist()
    return {
        "study_id": [compared.studies[place].id for place in member],
        "study": [compared.told.names[place] for place in member],
        "trial_id": columns.ids[:limit].tolist(),
        "number": columns.numbers[:limit].tolist(),
        "state": [str(STATES[code]) for code in columns.states[:limit]],
        compared.objective().metric: cells(columns.objective[:limit]),
    }


def _best_of_k(asked: AskedAcross) -> Figure:
    compared = asked.compared
    columns = [kept.columns for kept in compared.snapshots]
    overlay = best_of_k_overlaid.compute(
        list(zip(compared.told.names, columns, strict=True)),
        compared.objective(),
        objective_scale=asked.options.word("y", OBJECTIVE_SCALES, "auto"),
    )
    return best_of_k_overlaid.draw(overlay)


def _best_of_k_table(asked: AskedAcross, limit: int) -> Table:
    """A row a study and number of trials."""
    compared, objective = asked.compared, asked.compared.objective()
    levels = [f"quantile_{level:g}" for level in best_of_k.LEVELS]
    table: dict[str, list[int | float | str | bool | None]] = {
        name: [] for name in ("study_id", "study", "trials", *levels)
    }
    for study, name, kept in zip(compared.studies, compared.told.names, compared.snapshots, strict=True):
        plot = best_of_k.compute(kept.columns, objective)
        table["study_id"] += [study.id] * len(plot.sizes)
        table["study"] += [name] * len(plot.sizes)
        table["trials"] += plot.sizes.tolist()
        for level, row in zip(levels, plot.boxes, strict=True):
            table[level] += cells(row)
    return {name: column[:limit] for name, column in table.items()}


def _axis(asked: AskedAcross) -> tuple[bool, str]:
    return asked.options.switch("clip", True), asked.options.word("y", OBJECTIVE_SCALES, "auto")


def _version(asked: AskedAcross) -> str:
    return asked.compared.version


ISOLATION = Across(_isolation, _isolation_table, _version)
DISTRIBUTION = Across(_distribution, _distribution_table, _version)
BEST_OF_K = Across(_best_of_k, _best_of_k_table, _version)
