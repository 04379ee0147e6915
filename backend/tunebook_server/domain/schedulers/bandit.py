"""The values of a copied member from a model of how much members gained, instead of by chance.

Parker-Holder, Nguyen & Roberts, "Provably efficient online hyperparameter optimization with population-based
bandits", 2020 (PB2), with the Gaussian process of the sampler `bayesian`, which sees the last rungs alone in
place of a kernel that forgets.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tunebook_server.domain.hyperparameter import Fixed, Float, Integer
from tunebook_server.domain.samplers.bayesian import Bayesian
from tunebook_server.domain.samplers.columns import columns
from tunebook_server.domain.samplers.history import Fate, History
from tunebook_server.domain.samplers.learner import quasi_random_first
from tunebook_server.domain.search_space import SearchSpace
from tunebook_server.domain.trial import Configuration, Value

GAINS_LEAST = 4
RUNGS_SEEN = 3
"""What was good at the beginning of a training says little later."""


@dataclass(frozen=True, slots=True)
class Gain:
    """From one rung to the next: the values that a member trained with, and how its loss changed, which is
    below 0 where it improved. `rung`: the one that it came to."""

    values: Configuration
    rung: int
    change: float


def modelled(
    space: SearchSpace,
    parent: Configuration,
    gains: Sequence[Gain],
    *,
    kept: Sequence[str],
    seed: int,
    place: int,
) -> dict[str, Value] | None:
    """The parent's values with other numbers: those that promise the largest gain. None where too few gains
    are known. `place` tells copies apart."""
    newest = sorted({gain.rung for gain in gains})[-RUNGS_SEEN:]
    recent = [gain for gain in gains if gain.rung in newest and np.isfinite(gain.change)]
    if len(recent) < GAINS_LEAST:
        return None
    points = columns(space).settle(np.array([space.to_unit(gain.values) for gain in recent]))
    changes = np.array([gain.change for gain in recent])
    history = History(points, changes, np.full(len(recent), Fate.FINISHED, np.int8))
    index = quasi_random_first(space) + place
    (promising,) = Bayesian().suggest(space, seed=seed, index=index, count=1, history=history)
    return _joined(space, parent, promising, kept)


def _joined(
    space: SearchSpace, parent: Configuration, promising: Configuration, kept: Sequence[str]
) -> dict[str, Value]:
    """Numbers of the one, all else of the other; what became active by a change of the space, from either."""
    configuration: dict[str, Value] = {}
    for node in space.active_nodes(configuration):
        parameter, name = node.parameter, node.parameter.name
        if isinstance(parameter, Fixed):
            configuration[name] = parameter.value
            continue
        numeric = isinstance(parameter, Float | Integer) and name not in kept
        first, second = (promising, parent) if numeric else (parent, promising)
        held = first.get(name, second.get(name))
        fits = held is not None and (name in kept or 0 <= parameter.to_unit(held) <= 1)
        configuration[name] = held if fits and held is not None else parameter.from_unit(0.5)
    return configuration
