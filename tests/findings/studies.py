"""Studies with a known answer: made from a search space and a rule, without a database."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from tunebook_server.domain.chunk import Points
from tunebook_server.domain.families import split
from tunebook_server.domain.findings import Results
from tunebook_server.domain.findings.finding import Finding, Verdict
from tunebook_server.domain.objective import Objective
from tunebook_server.domain.samplers import sampler
from tunebook_server.domain.search_space import Float, Integer, SearchSpace
from tunebook_server.domain.trial import Configuration
from tunebook_server.domain.trial_columns import TrialColumns, columns_by_key, state_code

LOSS = Objective("valid/loss")
SEEDS = range(10)
NOISE = (0.0, 0.01, 0.03)  # of losses that span about 1
Rule = Callable[[Configuration, np.random.Generator], float | None]
"""The loss of a configuration, None where it is infeasible."""


def study(
    space: Sequence[Mapping[str, object]],
    rule: Rule,
    *,
    trials: int = 60,
    seed: int = 0,
    objective: Objective = LOSS,
    steps: int = 1_000,
) -> Results:
    """Halton trials of the rule; the best step is the last one unless a test sets another."""
    parsed = SearchSpace.parse(space)
    random = np.random.default_rng(seed)
    configurations = sampler("halton", {}).suggest(parsed, seed=seed, index=0, count=trials)
    found = [rule(configuration, random) for configuration in configurations]
    losses = np.array([np.nan if loss is None else loss for loss in found])
    states = np.array(
        [state_code("infeasible" if loss is None else "completed") for loss in found], dtype=np.int8
    )
    numbers = np.arange(trials)
    last = np.where(np.isnan(losses), np.nan, float(steps))
    columns = TrialColumns(
        numbers + 1_000,
        numbers,
        states,
        objective.sign * losses,
        last,
        last,
        columns_by_key(parsed, configurations),
        numbers.astype(np.float64),
    )
    return Results(objective, parsed, trials, columns, seed=seed)


def with_curves(results: Results, curves: Mapping[int, Mapping[str, Points]]) -> Results:
    """`curves` by trial number."""
    return replace(results, curves={number + 1_000: found for number, found in curves.items()})


def only(findings: Sequence[Finding], subject: str = "") -> Finding:
    (found,) = [finding for finding in findings if finding.subject == subject]
    return found


def verdicts(findings: Sequence[Finding]) -> dict[str, Verdict]:
    return {finding.subject: finding.verdict for finding in findings}


# What must change no verdict ------------------------------------------------------------------------------


def permuted(results: Results, seed: int = 0) -> Results:
    """The same trials under other numbers."""
    order = np.random.default_rng(seed).permutation(len(results.columns))
    columns = results.columns
    shuffled = replace(
        columns,
        ids=columns.ids[order],
        states=columns.states[order],
        objective=columns.objective[order],
        best_step=columns.best_step[order],
        last_step=columns.last_step[order],
        values={key: column[order] for key, column in columns.values.items()},
    )
    return replace(results, columns=shuffled)


def rescaled(results: Results, factor: float, offset: float) -> Results:
    """The objective, and every curve of its family, in another unit."""
    family = split(results.objective.metric)[1]
    curves = {
        trial: {
            name: Points(points.steps, factor * points.values + offset)
            if split(name)[1] == family
            else points
            for name, points in found.items()
        }
        for trial, found in results.curves.items()
    }
    columns = replace(results.columns, objective=factor * results.columns.objective + offset)
    deviation = results.retrain_deviation
    return replace(
        results,
        columns=columns,
        curves=curves,
        retrain_deviation=None if deviation is None else factor * deviation,
    )


def flipped(results: Results) -> Results:
    """Maximised instead of minimised: every value, and the direction, with the other sign."""
    turned = replace(rescaled(results, -1.0, 0.0), objective=replace(results.objective, direction="maximize"))
    deviation = results.retrain_deviation
    return replace(turned, retrain_deviation=deviation)


def in_other_log_units(results: Results, key: str, factor: float) -> Results:
    """A log-scaled hyperparameter in another unit: its range and all of its values times `factor`."""
    parameter = results.space.parameter(key)
    assert isinstance(parameter, Float | Integer)
    assert parameter.scale == "log"
    moved = replace(parameter, low=parameter.low * factor, high=parameter.high * factor)  # type: ignore[arg-type]
    space = SearchSpace(tuple(moved if each == parameter else each for each in results.space.parameters))
    values = {**results.columns.values, key: results.columns.values[key] * factor}
    return replace(results, space=space, columns=replace(results.columns, values=values))
