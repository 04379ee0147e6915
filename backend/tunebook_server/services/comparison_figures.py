"""Figures that compare: scientific values, trials along all hyperparameters, ends of training."""

from collections.abc import Mapping

from tunebook_server.domain import isolation as domain
from tunebook_server.domain.errors import Invalid
from tunebook_server.domain.search_space import Float, Integer, Searched
from tunebook_server.domain.value_groups import group
from tunebook_server.figures import (
    axis,
    best_steps,
    distribution,
    isolation,
    parallel,
    slice_by_value,
)
from tunebook_server.figures.axis import Scale
from tunebook_server.figures.figure import Figure
from tunebook_server.services.across_figures import DISTRIBUTION, ISOLATION
from tunebook_server.services.figure_kinds import (
    OBJECTIVE_SCALES,
    Asked,
    Kind,
    Table,
    cells,
    table_with_values,
    trial_table,
)
from tunebook_server.services.isolation_table import isolation_table


def _isolation(asked: Asked) -> Figure:
    parameter, scale = _varied(asked, "parameter", _first_scientific(asked, "parameter"))
    columns = asked.snapshot.columns
    plot = isolation.compute(
        columns,
        group(parameter, columns.values[scale.key]),
        scale,
        asked.study.objective,
        clip=asked.options.switch("clip", True),
        objective_scale=asked.options.word("y", OBJECTIVE_SCALES, "auto"),
    )
    return isolation.draw(plot)


def _isolation_table(asked: Asked, limit: int) -> Table:
    parameter, scale = _varied(asked, "parameter", _first_scientific(asked, "parameter"))
    columns, objective = asked.snapshot.columns, asked.study.objective
    found = domain.isolate(columns, parameter, scale.key, objective)
    return isolation_table(columns, found, scale, objective, limit)


def _slice(asked: Asked) -> Figure:
    parameter, scale = _varied(asked, "parameter", asked.options.text("parameter"))
    if not isinstance(parameter, Float | Integer):
        raise Invalid(
            f"{scale.key[:200]} is not numeric", field="parameter", remedy="Name a numeric hyperparameter."
        )
    by, by_scale = _varied(asked, "by", _first_scientific(asked, "by"))
    first, last = asked.options.range()
    plot = slice_by_value.compute(
        asked.snapshot.columns,
        scale,
        asked.study.objective,
        by=by,
        by_scale=by_scale,
        clip=asked.options.switch("clip", True),
        objective_scale=asked.options.word("y", OBJECTIVE_SCALES, "auto"),
        first=first,
        last=last,
    )
    return slice_by_value.draw(plot)


def _slice_table(asked: Asked, limit: int) -> Table:
    _, scale = _varied(asked, "parameter", asked.options.text("parameter"))
    _, by_scale = _varied(asked, "by", _first_scientific(asked, "by"))
    return table_with_values(asked, limit, [scale, by_scale])


def _best_steps(asked: Asked) -> Figure:
    return best_steps.draw(best_steps.compute(asked.snapshot.columns, asked.study.objective))


def _best_steps_table(asked: Asked, limit: int) -> Table:
    columns = asked.snapshot.columns
    return {
        **trial_table(asked, limit),
        "best_step": cells(columns.best_step[:limit]),
        "last_step": cells(columns.last_step[:limit]),
        "share": cells(best_steps.shares(columns)[:limit]),
    }


def _distribution(asked: Asked) -> Figure:
    columns, groups, scale = asked.snapshot.columns, None, None
    if "by" in asked.options:
        by, scale = _varied(asked, "by", asked.options.text("by"))
        groups = group(by, columns.values[scale.key], parts=distribution.PARTS)
    plot = distribution.compute(
        columns,
        asked.study.objective,
        groups=groups,
        scale=scale,
        clip=asked.options.switch("clip", True),
        objective_scale=asked.options.word("y", OBJECTIVE_SCALES, "auto"),
    )
    return distribution.draw(plot)


def _distribution_table(asked: Asked, limit: int) -> Table:
    scales = [_varied(asked, "by", asked.options.text("by"))[1]] if "by" in asked.options else []
    return table_with_values(asked, limit, scales)


def _parallel(asked: Asked) -> Figure:
    plot = parallel.compute(
        asked.snapshot.columns,
        asked.study.space,
        asked.study.objective,
        clip=asked.options.switch("clip", True),
        objective_scale=asked.options.word("y", OBJECTIVE_SCALES, "auto"),
    )
    return parallel.draw(plot)


def _parallel_table(asked: Asked, limit: int) -> Table:
    space = asked.study.space
    return table_with_values(asked, limit, [axis.scale_of(space.key(each), each) for each in space.varied])


def _first_scientific(asked: Asked, option: str) -> str:
    """The hyperparameter that the option names, or the first scientific one that varies."""
    space = asked.study.space
    found = [space.key(each) for each in space.varied if each.role == "scientific"]
    if option not in asked.options and not found:
        raise Invalid(
            "no scientific hyperparameter varies in this study",
            field=option,
            remedy=f"Name a hyperparameter that varies: ?{option}=…",
        )
    return asked.options.text(option, found[0] if found else None)


def _varied(asked: Asked, option: str, key: str) -> tuple[Searched, Scale]:
    """Raises NotFound for a key that the space has not, Invalid naming the option for one that is fixed."""
    parameter = asked.study.space.parameter(key)
    if key not in asked.snapshot.columns.values or not isinstance(parameter, Searched):
        raise Invalid(
            f"{key[:200]} does not vary in this study", field=option, remedy="Name one that varies."
        )
    return parameter, axis.scale_of(key, parameter)


KINDS: Mapping[str, Kind] = {
    "isolation": Kind(_isolation, _isolation_table, across=ISOLATION),
    "slice": Kind(_slice, _slice_table),
    "best-steps": Kind(_best_steps, _best_steps_table),
    "distribution": Kind(_distribution, _distribution_table, across=DISTRIBUTION),
    "parallel": Kind(_parallel, _parallel_table),
}
