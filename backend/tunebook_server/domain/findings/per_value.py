"""Per-value sampling: has every scientific value had its share of the trials?

Deep Learning Tuning Playbook, "Extracting insight from experimental results": values are compared by the best
trial of each, so each needs enough trials, and about as many as the others.
"""

from dataclasses import dataclass
from math import ceil

import numpy as np

from tunebook_server.domain.changes import Change, Range, Trials
from tunebook_server.domain.findings.finding import Evidence, Finding, Proposal, Shown, Verdict, not_enough
from tunebook_server.domain.findings.results import Results
from tunebook_server.domain.findings.statistics import uneven_p
from tunebook_server.domain.findings.threshold import Threshold
from tunebook_server.domain.findings.values import Group, among, group
from tunebook_server.domain.search_space import Boolean, Categorical, Searched
from tunebook_server.domain.study_limits import TRIALS_MOST

ITEM = "per-value sampling"
VALUE_TRIALS = Threshold(
    "per_value.trials",
    5,
    1,
    10_000,
    "Feasible trials of a scientific value below which it warns (the playbook's figure).",
)
UNEVEN_P = Threshold(
    "per_value.uneven_p",
    0.01,
    1e-6,
    0.5,
    "The probability of so uneven a draw below which trials are uneven beyond chance.",
)
NAMES_SHOWN = 5  # in a sentence
NAMES_MOST = 10  # in the evidence


@dataclass(frozen=True, slots=True)
class Counted:
    """One scientific hyperparameter's trials by value, in rows of one length. `drawn`: feasible and
    infeasible; `wanted`: drawn trials that it lacks; `active`: the share of the study's trials that have it.
    """

    key: str
    parameter: Searched
    groups: tuple[Group, ...]
    feasible: tuple[int, ...]
    drawn: tuple[int, ...]
    uneven_p: float
    uneven: bool
    lacking: tuple[int, ...]
    active: float

    @property
    def short(self) -> list[Group]:
        return [each for each, lacking in zip(self.groups, self.lacking, strict=True) if lacking]


def check(results: Results) -> list[Finding]:
    """One finding for every scientific hyperparameter that is searched."""
    return [
        _check(results, parameter)
        for parameter in results.scientific
        if results.space.key(parameter) in results.columns.values
    ]


def _check(results: Results, parameter: Searched) -> Finding:
    counted = _count(results, parameter)
    have, least = sum(counted.feasible), _least(results)
    need = least * max(len(counted.groups), 1)
    ended = int((results.feasible | results.infeasible).sum())
    if have < need and (ended < results.budget or not sum(counted.drawn)):
        return not_enough(ITEM, have, need, "feasible trial", subject=counted.key)
    warns = bool(counted.short) or min(counted.feasible) < least
    return Finding(
        ITEM,
        Verdict.WARN if warns else Verdict.PASS,
        _sentence(counted, least),
        _evidence(counted),
        have,
        counted.key,
        Shown("isolation", {"parameter": counted.key}),
        _top_up(counted) if warns else None,
    )


def _count(results: Results, parameter: Searched) -> Counted:
    """Few are feasible trials, which the comparison rests on; uneven are those that were spent: a value whose
    trials are infeasible was given its share."""
    key = results.space.key(parameter)
    ended = results.feasible | results.infeasible
    found = group(parameter, results.columns.values[key], ended)
    feasible, drawn = found.counts(results.feasible), found.counts(ended)
    # a grid gives all values the same number, Halton and random search the share of the range
    shares = [np.array([each.share for each in found.groups]), np.ones(len(found.groups))]
    chance = max(uneven_p(drawn, share) for share in shares)
    uneven = chance < results.threshold(UNEVEN_P)
    least = _least(results)
    lacking = np.maximum(0, drawn.max(initial=0) - drawn) if uneven else np.zeros_like(drawn)
    # by the share that is feasible; of a value with none, more trials are useless
    rate = np.where(drawn > 0, feasible / np.maximum(drawn, 1), 1.0)
    missing = np.ceil(np.maximum(0, least - feasible) / np.maximum(rate, 1 / least))
    lacking = np.maximum(lacking, np.where((rate > 0) | (drawn < least), missing, 0))
    return Counted(
        key,
        parameter,
        found.groups,
        tuple(feasible.tolist()),
        tuple(drawn.tolist()),
        chance,
        uneven,
        tuple(int(count) for count in lacking),
        float(drawn.sum() / max(int(ended.sum()), 1)),
    )


def _least(results: Results) -> int:
    return max(1, int(results.threshold(VALUE_TRIALS)))


def _sentence(counted: Counted, least: int) -> str:
    few = [(each.name, n) for each, n in zip(counted.groups, counted.feasible, strict=True) if n < least]
    name = counted.parameter.name
    if few:
        named = ", ".join(f"{_shown(value)} ({n})" for value, n in few[:NAMES_SHOWN])
        others = f" and {len(few) - NAMES_SHOWN} more" if len(few) > NAMES_SHOWN else ""
        return (
            f"{name} has fewer than {least} feasible trials of {named}{others}: the best of so few is luck."
        )
    most, fewest = max(counted.drawn), min(counted.drawn)
    if counted.uneven:
        return (
            f"The trials of {name} are uneven beyond chance, {fewest:,} to {most:,} a value: "
            "the best of more trials looks better."
        )
    range_ = f"{most:,}" if fewest == most else f"{fewest:,} to {most:,}"
    return f"Every value of {name} has {range_} trials."


def _evidence(counted: Counted) -> dict[str, Evidence]:
    rows = list(zip(counted.groups, counted.feasible, strict=True))
    if len(rows) > NAMES_MOST:
        rows.sort(key=lambda row: row[1])
    named = [f"{_shown(each.name)} {count}" for each, count in rows[:NAMES_MOST]]
    return {
        "values": len(counted.groups),
        "fewest_feasible": min(counted.feasible),
        "fewest_drawn": min(counted.drawn),
        "most_drawn": max(counted.drawn),
        "uneven_p": counted.uneven_p,
        "feasible_by_value": ", ".join(named + ["…"] * (len(rows) > NAMES_MOST)),
    }


def _top_up(counted: Counted) -> Proposal | None:
    """As many trials for each of the short values as the shortest of them lacks."""
    if not counted.short:
        return None
    trials = _trials(counted)
    names = ", ".join(_shown(each.name) for each in counted.short[:NAMES_SHOWN])
    more = ", …" if len(counted.short) > NAMES_SHOWN else ""
    title = f"Top up {counted.parameter.name} = {names}{more} with {trials:,} trials"
    return Proposal(title, (*_narrowed(counted), Trials(trials)))


def _trials(counted: Counted) -> int:
    searched = _searched(counted)
    share = sum(each.share for each in searched)
    needed = max(
        lacking * share / each.share
        for each, lacking in zip(counted.groups, counted.lacking, strict=True)
        if lacking
    )
    return min(max(1, ceil(needed / max(counted.active, 1 / TRIALS_MOST) - 1e-9)), TRIALS_MOST)


def _searched(counted: Counted) -> list[Group]:
    """What the top-up searches: the short choices, or the part of a range that holds all short ones."""
    if isinstance(counted.parameter, Categorical | Boolean):
        return counted.short
    short = [place for place, lacking in enumerate(counted.lacking) if lacking]
    return list(counted.groups[short[0] : short[-1] + 1])


def _narrowed(counted: Counted) -> tuple[Change, ...]:
    searched = _searched(counted)
    if len(searched) == len(counted.groups):
        return ()
    values = [each.value for each in searched if each.value is not None]
    if isinstance(counted.parameter, Categorical | Boolean) or (len(values) == 1 == len(searched)):
        return (among(counted.key, counted.parameter, values),)
    return (Range(counted.key, searched[0].low, searched[-1].high),)


def _shown(name: str) -> str:
    return name if len(name) <= 40 else f"{name[:39]}…"
