"""Scrambled, randomly shifted Halton points, each computed from (seed, index) alone.

Coordinate j of point i is the radical inverse of i in the j-th prime base, with every digit sent through a
permutation of its own (random digit scrambling: Matoušek, "On the L2-discrepancy for anchored boxes", 1998),
plus a shift modulo 1 (Cranley & Patterson, 1976).

An index has infinitely many leading zeros, and a permutation that moves 0 moves those too: digit places above
the index add a tail that depends on the place where the index ends. The tail is a table per place, so that a
point costs as many steps as its index has digits. Coordinates are summed as whole numbers over base^places,
where base^places ≥ 2^53: exact, therefore the same in any chunk, and as fine as a double.
"""

import itertools
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tunebook_server.domain.samplers.endless import Endless
from tunebook_server.domain.samplers.history import History
from tunebook_server.domain.search_space import SearchSpace
from tunebook_server.domain.trial import Configuration

INDEX_LIMIT = 2**53
BLOCK_DIGITS = 2**20
"""Digits worked on at once; bounds the memory of a long request to about 50 MB."""
STREAM = 1
"""Keeps the random numbers of this sampler apart from those of others with the same seed."""


class Halton(Endless):
    def suggest(
        self, space: SearchSpace, *, seed: int, index: int, count: int, history: History | None = None
    ) -> list[Configuration]:
        points = halton_points(len(space.dimensions), seed=seed, index=index, count=count)
        return [space.from_unit(point) for point in points.tolist()]


def halton_points(dimensions: int, *, seed: int, index: int, count: int) -> NDArray[np.float64]:
    """Points index … index + count - 1, shape (count, dimensions), in [0, 1)."""
    digits = scrambled_digits(dimensions, seed)
    points = radical_inverses(digits, index=index, count=count)
    return (points + digits.shift) % 1.0


@dataclass(frozen=True)
class Digits:
    """Tables for D bases and L digit places, lowest digit of the index first.

    powers, starts, weights: (D, L); base^place (beyond a base's own places: more than any index), where
    its permutation begins in `permutations`, and what a unit of the permuted digit counts for.
    tails: (L + 1, D), the sum of all permuted zeros from a place on. scales: (D,), base^places.
    """

    permutations: NDArray[np.uint16]
    powers: NDArray[np.int64]
    starts: NDArray[np.int64]
    weights: NDArray[np.uint64]
    tails: NDArray[np.uint64]
    bases: NDArray[np.int64]
    scales: NDArray[np.float64]
    shift: NDArray[np.float64]


def radical_inverses(digits: Digits, *, index: int, count: int) -> NDArray[np.float64]:
    """Before the shift; shape (count, D)."""
    if index < 0 or count < 0 or index + count > INDEX_LIMIT:
        raise ValueError(f"points {index} to {index + count} of at most {INDEX_LIMIT}")
    places = (index + count).bit_length()
    block = max(1, BLOCK_DIGITS // max(1, places * len(digits.bases)))
    pieces = [
        _exact_inverses(digits, np.arange(first, min(first + block, index + count)), places)
        for first in range(index, index + count, block)
    ]
    numerators = np.concatenate(pieces or [np.zeros((0, len(digits.bases)), np.uint64)])
    return numerators / digits.scales


def _exact_inverses(digits: Digits, indices: NDArray[np.int64], places: int) -> NDArray[np.uint64]:
    """Numerators over base^places, from the lowest `places` digits of the indices and the tail above them."""
    numbers = indices[:, None, None] // digits.powers[None, :, :places] % digits.bases[:, None]
    permuted = digits.permutations[digits.starts[:, :places] + numbers]
    inverses: NDArray[np.uint64] = (permuted * digits.weights[:, :places]).sum(axis=2, dtype=np.uint64)
    inverses += digits.tails[places]
    return inverses


@lru_cache(maxsize=32)
def scrambled_digits(dimensions: int, seed: int) -> Digits:
    """A dimension's permutations and shift depend on the seed and its own number alone."""
    permutations, shift = [], np.empty(dimensions)
    for dimension, base in enumerate(primes(dimensions)):
        bits = np.random.Philox(np.random.SeedSequence(seed, spawn_key=(STREAM, dimension)))
        # Raw bits are the only part of numpy.random that promises the same numbers in later versions.
        raw = bits.random_raw((_places(base), base))
        permutations.append(np.argsort(raw, axis=1, kind="stable").astype(np.uint16))
        shift[dimension] = (int(bits.random_raw()) >> 11) * 2.0**-53
    return tabulate(permutations, shift)


@lru_cache(maxsize=4)
def plain_digits(dimensions: int) -> Digits:
    """Without scrambling or shift: the sequence of the textbooks."""
    permutations = [
        np.tile(np.arange(base, dtype=np.uint16), (_places(base), 1)) for base in primes(dimensions)
    ]
    return tabulate(permutations, np.zeros(dimensions))


def tabulate(permutations: list[NDArray[np.uint16]], shift: NDArray[np.float64]) -> Digits:
    """From one (places, base) array of permutations a dimension."""
    longest = _places(2)
    shape = (len(permutations), longest)
    powers = np.full(shape, INDEX_LIMIT, np.int64)
    starts, weights = np.zeros(shape, np.int64), np.zeros(shape, np.uint64)
    tails = np.zeros((longest + 1, len(permutations)), np.uint64)
    start = 0
    for dimension, table in enumerate(permutations):
        places, base = table.shape
        for place in range(places):
            powers[dimension, place] = base**place
            starts[dimension, place] = start + place * base
            weights[dimension, place] = base ** (places - 1 - place)
        tail = 0
        for place in reversed(range(places)):
            tail += int(table[place, 0]) * base ** (places - 1 - place)
            tails[place, dimension] = tail
        start += table.size
    flat = np.concatenate([table.ravel() for table in permutations] or [np.zeros(1, np.uint16)])
    bases = np.array([table.shape[1] for table in permutations], np.int64)
    scales = np.array([float(table.shape[1] ** table.shape[0]) for table in permutations])
    return Digits(flat, powers, starts, weights, tails, bases, scales, shift)


def primes(count: int) -> list[int]:
    """The first `count` primes."""
    found: list[int] = []
    for number in itertools.count(2):
        if len(found) == count:
            break
        if all(number % prime for prime in found):
            found.append(number)
    return found


def _places(base: int) -> int:
    """Digits that an index or a double can show in this base: the first n with base^n ≥ 2^53."""
    return next(places for places in itertools.count(1) if base**places >= INDEX_LIMIT)
