"""Which single value of which hyperparameter separates infeasible trials from feasible ones.

Every cut between two values of every numeric hyperparameter, and every choice of a categorical one, is tried;
the best is the one that makes the outcomes most likely (the log-likelihood ratio G of the 2 by 2 table, as in
a decision stump). How good a cut chance alone would find, among so many, is learned from permuted outcomes
(Westfall and Young 1993, max-T).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tunebook_server.domain.findings.results import Results
from tunebook_server.domain.search_space import Float, Integer, Searched
from tunebook_server.domain.trial import Value
from tunebook_server.domain.trial_columns import choices

PERMUTATIONS = 199
PERMUTED_CELLS = 8_000  # trials × hyperparameters: a separation that matters is beyond doubt in so many
PERMUTED_FEWEST = 200  # trials
ROUNDING = 1e-9  # of a log-likelihood


@dataclass(frozen=True, slots=True)
class Separation:
    """Trials of `key` on one side: above (`high`) or below the numeric `threshold`, or with this `choice`.

    `share` and `other_share`: infeasible among the trials there, and among the others that have this
    hyperparameter, `share` the larger; `contrast`: of its infeasible trials the part that lies there, less
    that of the feasible (Youden's J): 1 separates wholly; `p`: how often permuted outcomes are separated as
    well by any cut.
    """

    key: str
    parameter: Searched
    threshold: float | None
    high: bool
    choice: Value | None
    share: float
    other_share: float
    contrast: float
    p: float
    there: NDArray[np.bool_]
    """The trials on this side, of all in `Results.columns`."""


@dataclass(frozen=True, slots=True)
class _Sorted:
    """One hyperparameter's trials in order of its values. A numeric cut parts the first `lengths` from the
    others (`starts` 0); a choice stands from `starts`, for `lengths` trials."""

    key: str
    parameter: Searched
    order: NDArray[np.intp]
    starts: NDArray[np.intp]
    lengths: NDArray[np.intp]


def separation(results: Results) -> Separation | None:
    """The best cut; None where no hyperparameter takes two values, or all outcomes are alike."""
    ended = np.flatnonzero(results.feasible | results.infeasible)
    outcomes = results.infeasible[ended]
    columns = _columns(results, ended)
    if not columns or outcomes.all() or not outcomes.any():
        return None
    gains = [_gains(column, outcomes[None, :])[0] for column in columns]
    best = int(np.argmax([gain.max() for gain in gains]))
    column, cut = columns[best], int(np.argmax(gains[best]))
    return _described(results, ended, column, cut, _chance(results, ended))


def _columns(results: Results, ended: NDArray[np.intp]) -> list[_Sorted]:
    """Of every hyperparameter that takes at least two values among these trials."""
    found = []
    for parameter in results.space.varied:
        key = results.space.key(parameter)
        if key not in results.columns.values:
            continue
        values = results.columns.values[key][ended]
        order = np.argsort(values, kind="stable")
        order = order[np.isfinite(values[order])]
        borders = np.flatnonzero(values[order[1:]] != values[order[:-1]]) + 1
        if not len(borders):
            continue
        starts, lengths = np.zeros_like(borders), borders
        if not isinstance(parameter, Float | Integer):
            starts = np.concatenate([[0], borders])
            lengths = np.diff(starts, append=len(order))
        found.append(_Sorted(key, parameter, order, starts, lengths))
    return found


def _gains(column: _Sorted, outcomes: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The log-likelihood that each cut gains: (rows, cuts) of `outcomes` (rows, trials)."""
    here = outcomes[:, column.order]
    before = np.zeros((len(here), here.shape[1] + 1), dtype=np.int32)
    np.cumsum(here, axis=1, out=before[:, 1:])
    n, m, i = here.shape[1], before[:, -1:], column.lengths
    s = before[:, column.starts + i] - before[:, column.starts]
    k = np.arange(n + 1, dtype=float)
    table = k * np.log(np.maximum(k, 1))
    split = table[s] + table[i - s] + table[m - s] + table[n - i - m + s]
    whole = table[m] + table[n - m] - table[n]
    gains: NDArray[np.float64] = split - (table[i] + table[n - i]) - whole
    return gains


def _chance(results: Results, ended: NDArray[np.intp]) -> float:
    """How often the best cut of permuted outcomes gains as much, by the same search over a part of the
    trials that is bounded: another statistic than that of all of them, and as honest a test."""
    random = np.random.default_rng(results.seed)
    varied = max(len(results.space.varied), 1)
    kept = max(PERMUTED_FEWEST, PERMUTED_CELLS // varied)
    if len(ended) > kept:
        ended = np.sort(random.choice(ended, kept, replace=False))
    outcomes = results.infeasible[ended]
    rows = np.tile(outcomes, (PERMUTATIONS + 1, 1))
    rows[1:] = random.permuted(rows[1:], axis=1)
    best = np.full(len(rows), -np.inf)
    for column in _columns(results, ended):
        best = np.maximum(best, _gains(column, rows).max(axis=1))
    return float((best >= best[0] - ROUNDING).mean())


def _described(results: Results, ended: NDArray[np.intp], column: _Sorted, cut: int, p: float) -> Separation:
    start, length = int(column.starts[cut]), int(column.lengths[cut])
    there = np.zeros(len(column.order), dtype=bool)
    there[start : start + length] = True
    parameter = column.parameter
    numeric = isinstance(parameter, Float | Integer)
    outcomes = results.infeasible[ended[column.order]]
    high = numeric and float(outcomes[there].mean()) < float(outcomes[~there].mean())
    there = ~there if high else there
    values = results.columns.values[column.key][ended[column.order]]
    mask = np.zeros(len(results.columns), dtype=bool)
    mask[ended[column.order[there]]] = True
    choice = None if numeric else choices(parameter)[int(values[start])]
    return Separation(
        column.key,
        parameter,
        _between(parameter, *values[length - 1 : length + 1].tolist()) if numeric else None,
        high,
        choice,
        float(outcomes[there].mean()),
        float(outcomes[~there].mean()),
        float(_share(there, outcomes) - _share(there, ~outcomes)),
        p,
        mask,
    )


def _share(there: NDArray[np.bool_], of: NDArray[np.bool_]) -> float:
    return float(there[of].mean()) if of.any() else 0.0


def _between(parameter: Searched, low: float, high: float) -> float:
    """Half way on the scale, so that another unit moves it along."""
    if isinstance(parameter, Float | Integer) and parameter.scale == "log" and low > 0:
        return float(np.sqrt(low) * np.sqrt(high))
    return low + (high - low) / 2
