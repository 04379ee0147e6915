"""Hyperband: brackets of successive halving that begin at different rungs, without a barrier.

Li et al., "Hyperband: a novel bandit-based approach to hyperparameter optimization", 2018, algorithm 1; the
brackets run side by side and decide asynchronously, as in Li et al. 2020, section 3.3. BOHB (Falkner et al.
2018) is the same with a sampler that learns from the highest rung with enough trials.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

from tunebook_server.domain.errors import Invalid
from tunebook_server.domain.schedulers.successive_halving import SuccessiveHalving

ROUND_MOST = 2_000
"""Rungs may lie between 1 and 2^63; a round of Hyperband would then be longer than any study."""


@dataclass(frozen=True)
class Hyperband(SuccessiveHalving):
    """Bracket b has its first rung at `min_steps` · `reduction_factor`^b: its trials are safe until then."""

    name: ClassVar[str] = "hyperband"

    def bracket(self, number: int) -> int:
        cycle = brackets(self.rungs.last, self.rungs.reduction_factor)
        return cycle[number % len(cycle)]


@dataclass(frozen=True)
class Bohb(Hyperband):
    name: ClassVar[str] = "bohb"

    def check(self, *, sampler_learns: bool, has_job: bool) -> None:
        if not sampler_learns:
            raise Invalid(
                "bohb is Hyperband with a sampler that learns",
                field="sampler.name",
                remedy="Use tpe, bayesian or cma_es, or the scheduler hyperband.",
            )


@lru_cache(maxsize=64)
def brackets(last: int, factor: int) -> tuple[int, ...]:
    """Of one round of Hyperband the bracket of each trial, mixed evenly: a study that ends in between has had
    some of each. A round of more than `ROUND_MOST` trials is one of about as many, in the same shares."""
    sizes = [_size(last, last - bracket, factor) for bracket in range(last + 1)]
    whole = sum(sizes)
    if whole > ROUND_MOST:
        sizes = [max(size * ROUND_MOST // whole, 1) for size in sizes]
    total, given, order = sum(sizes), [0] * (last + 1), list[int]()
    for place in range(1, total + 1):
        owed = [sizes[bracket] * place / total - given[bracket] for bracket in range(last + 1)]
        chosen = max(range(last + 1), key=lambda bracket: (owed[bracket], -bracket))
        given[chosen] += 1
        order.append(chosen)
    return tuple(order)


def _size(last: int, reductions: int, factor: int) -> int:
    """How many trials begin in the bracket with so many reductions, so that all brackets cost about the same:
    the first line of Hyperband's loop."""
    trials: int = -(-(last + 1) * factor**reductions // (reductions + 1))
    return trials
