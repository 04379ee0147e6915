"""Figures of the trials of a study: objective by hyperparameter, and over time."""

from collections.abc import Mapping

from tunebook_server.domain.errors import Invalid
from tunebook_server.figures import axis, best_of_k, history
from tunebook_server.figures.figure import Figure
from tunebook_server.services.across_figures import BEST_OF_K
from tunebook_server.services.figure_kinds import (
    OBJECTIVE_SCALES,
    Asked,
    Kind,
    Table,
    cells,
    table_with_values,
    trial_table,
)


def _axis(asked: Asked) -> Figure:
    key, options = varied_key(asked), asked.options
    scale = axis.scale_of(key, asked.study.space.parameter(key))
    first, last = options.range()
    plot = axis.compute(
        asked.snapshot.columns,
        scale,
        asked.study.objective,
        clip=options.switch("clip", True),
        objective_scale=options.word("y", OBJECTIVE_SCALES, "auto"),
        first=first,
        last=last,
    )
    return axis.draw(plot)


def varied_key(asked: Asked, option: str = "parameter") -> str:
    key = asked.options.text(option)
    if key not in asked.snapshot.columns.values:
        asked.study.space.parameter(key)
        raise Invalid(
            f"{key[:200]} does not vary in this study", field=option, remedy="Name one that varies."
        )
    return key


def _history(asked: Asked) -> Figure:
    plot = history.compute(
        asked.snapshot.columns,
        asked.study.objective,
        clip=asked.options.switch("clip", True),
        objective_scale=asked.options.word("y", OBJECTIVE_SCALES, "auto"),
    )
    return history.draw(plot)


def _axis_table(asked: Asked, limit: int) -> Table:
    key = varied_key(asked)
    return table_with_values(asked, limit, [axis.scale_of(key, asked.study.space.parameter(key))])


def _best_of_k(asked: Asked) -> Figure:
    scale = asked.options.word("y", OBJECTIVE_SCALES, "auto")
    return best_of_k.draw(
        best_of_k.compute(asked.snapshot.columns, asked.study.objective, objective_scale=scale)
    )


def _best_of_k_table(asked: Asked, limit: int) -> Table:
    plot = best_of_k.compute(asked.snapshot.columns, asked.study.objective)
    rows = {
        f"quantile_{level:g}": cells(row[:limit])
        for level, row in zip(best_of_k.LEVELS, plot.boxes, strict=True)
    }
    return {"trials": plot.sizes[:limit].tolist(), **rows}


KINDS: Mapping[str, Kind] = {
    "axis": Kind(_axis, _axis_table),
    "best-of-k": Kind(_best_of_k, _best_of_k_table, across=BEST_OF_K),
    "history": Kind(_history, trial_table),
}
