"""Figures of what the results mean: importance, contour, interaction; gradient norms."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tunebook_server.domain.curve import Curve
from tunebook_server.domain.errors import Invalid, NotFound
from tunebook_server.domain.findings import Results
from tunebook_server.domain.importance import Importances, measure
from tunebook_server.domain.interaction import Interaction, measure_interaction, values_of_numbers
from tunebook_server.domain.metric_roles import MetricRole, find
from tunebook_server.domain.numbers import encode
from tunebook_server.domain.search_space import Searched
from tunebook_server.domain.trial_columns import choices
from tunebook_server.figures import contour, gradient_norm, importance, interaction
from tunebook_server.figures.axis import Scale, scale_of
from tunebook_server.figures.figure import Figure
from tunebook_server.figures.gradient_norm import GradientNorm
from tunebook_server.figures.labels import significant
from tunebook_server.services import curves as curve_reads
from tunebook_server.services.figure_kinds import (
    Asked,
    Kind,
    Table,
    table_with_values,
    version_of_trials,
)
from tunebook_server.services.trial_figures import varied_key
from tunebook_server.storage import trial_columns as storage
from tunebook_server.storage.engine import transaction

NORM_POINTS = 100_000


def _results(asked: Asked) -> Results:
    study = asked.study
    return Results(study.objective, study.space, study.budget, asked.snapshot.columns)


def _ended(results: Results) -> NDArray[np.float64]:
    """Losses of the trials that count; infinite for the infeasible, NaN for those still to end."""
    return np.where(results.feasible, results.losses, np.where(results.infeasible, np.inf, np.nan))


def _units(results: Results, parameters: Iterable[Searched]) -> dict[str, NDArray[np.float64]]:
    keys = [results.space.key(parameter) for parameter in parameters]
    return {key: results.units(key) for key in keys}


def _choice_counts(results: Results) -> dict[str, int]:
    return {results.space.key(each): len(choices(each)) for each in results.space.varied if choices(each)}


# Importance -----------------------------------------------------------------------------------------------


def _importances(asked: Asked) -> Importances:
    results = _results(asked)
    units = _units(results, results.space.varied)
    return measure(units, _choice_counts(results), _ended(results))


def _importance(asked: Asked) -> Figure:
    return importance.draw(_importances(asked), asked.study.objective)


def _importance_table(asked: Asked, limit: int) -> Table:
    ranked = _importances(asked).ranked[:limit]
    return {
        "hyperparameter": [each.key for each in ranked],
        "importance": [each.share for each in ranked],
        "low": [each.low for each in ranked],
        "high": [each.high for each in ranked],
        "divergence": [each.divergence for each in ranked],
        "trials": [each.trials for each in ranked],
    }


# Contour --------------------------------------------------------------------------------------------------


def pair(asked: Asked) -> tuple[str, str]:
    """The two hyperparameters that the address names."""
    x, y = varied_key(asked, "x"), varied_key(asked, "y")
    if x == y:
        raise Invalid("x and y are the same hyperparameter", field="y", remedy="Name two that differ.")
    return x, y


def _contour(asked: Asked) -> Figure:
    x, y = (scale_of(key, asked.study.space.parameter(key)) for key in pair(asked))
    return contour.draw(contour.compute(asked.snapshot.columns, x, y, asked.study.objective))


def _contour_table(asked: Asked, limit: int) -> Table:
    scales = [scale_of(key, asked.study.space.parameter(key)) for key in pair(asked)]
    return table_with_values(asked, limit, scales)


# Interaction ----------------------------------------------------------------------------------------------


def _scientific_key(asked: Asked) -> str:
    key, space = varied_key(asked), asked.study.space
    scientific = [space.key(each) for each in space.varied if each.role == "scientific"]
    if key not in scientific:
        remedy = (
            f"Name a scientific one: {', '.join(scientific)[:400]}." if scientific else "This study has none."
        )
        raise Invalid(f"{key[:200]} is not scientific in this study", field="parameter", remedy=remedy)
    return key


def _interaction_of(asked: Asked) -> tuple[Interaction, str, list[str]]:
    """What was found, the scientific key, and the words of its values."""
    results, key = _results(asked), _scientific_key(asked)
    scale = scale_of(key, asked.study.space.parameter(key))
    column = asked.snapshot.columns.values[key]
    if scale.names:
        values = np.where(np.isfinite(column), column, -1).astype(np.int64)
        names = list(scale.names)
    else:
        values, members = values_of_numbers(results.units(key))
        names = [_bucket(column[member]) for member in members]
    units = _units(results, results.nuisance)
    found = measure_interaction(values, len(names), units, _choice_counts(results), _ended(results))
    return found, key, names


def _bucket(values: NDArray[np.float64]) -> str:
    if not len(values):
        return "none"
    low, high = significant(float(values.min()), 3), significant(float(values.max()), 3)
    return low if low == high else f"{low} to {high}"


def _interaction(asked: Asked) -> Figure:
    found, key, names = _interaction_of(asked)
    return interaction.draw(found, key, names, _scales(asked, [row.key for row in found.rows]))


def _scales(asked: Asked, keys: Sequence[str]) -> dict[str, Scale]:
    return {key: scale_of(key, asked.study.space.parameter(key)) for key in keys}


def _interaction_table(asked: Asked, limit: int) -> Table:
    """One row a nuisance hyperparameter and scientific value; places in [0, 1] of the range."""
    found, key, names = _interaction_of(asked)
    rows = [(row, region) for row in found.rows for region in row.regions][:limit]
    table: Table = {
        "hyperparameter": [row.key for row, _ in rows],
        "conclusion": [str(row.conclusion) for row, _ in rows],
        "trials": [region.trials for _, region in rows],
        "centre": [region.centre for _, region in rows],
        "centre_low": [region.centre_low for _, region in rows],
        "centre_high": [region.centre_high for _, region in rows],
        "low": [region.low for _, region in rows],
        "high": [region.high for _, region in rows],
        "p": [row.p for row, _ in rows],
        "importance": [row.share for row, _ in rows],
        "importance_high": [row.share_high for row, _ in rows],
    }
    value = f"parameters.{key}" if key in table else key
    return {**table, value: [names[region.value] for _, region in rows]}


# Gradient norm --------------------------------------------------------------------------------------------


def _trial(asked: Asked) -> int:
    trial_id = asked.options.integer("trial", None, low=1, high=2**63 - 1)
    if trial_id not in asked.snapshot.columns.ids:
        raise NotFound(f"study {asked.study.id} has no trial with id {trial_id}", field="trial")
    return trial_id


def _norm_curve(asked: Asked) -> Curve | None:
    trial_id = _trial(asked)
    names = curve_reads.metric_names(asked.engine, study_id=asked.study.id)
    metric = find(names, MetricRole.GRADIENT_NORM)
    if metric is None:
        return None
    found = curve_reads.read(asked.engine, trial_ids=[trial_id], metrics=[metric], max_points=NORM_POINTS)
    return found[0] if found else None


def _norm(asked: Asked) -> GradientNorm | None:
    return gradient_norm.compute(_norm_curve(asked), threshold=asked.options.positive("threshold"))


def _norm_steps(asked: Asked) -> Figure:
    return gradient_norm.draw_steps(_norm(asked))


def _norm_histogram(asked: Asked) -> Figure:
    return gradient_norm.draw_histogram(_norm(asked))


def _norm_table(asked: Asked, limit: int) -> Table:
    curve = _norm_curve(asked)
    steps = [] if curve is None else curve.steps[:limit].tolist()
    values = [] if curve is None else [encode(float(value)) for value in curve.values[:limit]]
    return {"step": steps, "gradient_norm": values}


def _norm_version(asked: Asked) -> str:
    with transaction(asked.engine) as connection:
        points, count = storage.point_count(connection, trial_ids=[_trial(asked)])
    return f"{version_of_trials(asked)}.{points}.{count}"


KINDS: Mapping[str, Kind] = {
    "importance": Kind(_importance, _importance_table),
    "contour": Kind(_contour, _contour_table),
    "interaction": Kind(_interaction, _interaction_table),
    "gradient-norm": Kind(_norm_steps, _norm_table, _norm_version),
    "gradient-norm-histogram": Kind(_norm_histogram, _norm_table, _norm_version),
}
