"""Several metrics at once: each suggestion looks for the best of another weighting of them.

Knowles, "ParEGO: a hybrid algorithm with on-line landscape approximation for expensive multiobjective
optimization problems", 2006: the augmented Tchebycheff norm of the scaled losses, with weights that take
turns, so that the trials spread along the front.
"""

import numpy as np
from numpy.typing import NDArray

from tunebook_server.domain.document import Document
from tunebook_server.domain.objective import Objective
from tunebook_server.domain.samplers.history import Fate, History
from tunebook_server.domain.samplers.losses import standardised
from tunebook_server.domain.study_limits import METRIC_LONGEST

Array = NDArray[np.float64]
TRADE_OFFS_MOST = 4
TURNS = 8
"""Weightings before the first comes again: a kernel is fitted for each."""
AUGMENTED = 0.05
STREAM = 13


def read(options: Document) -> tuple[Objective, ...]:
    """Of a sampler's options: [{metric, direction}]."""
    if "trade_offs" not in options or options.get("trade_offs") in ([], ()):
        return ()
    found: list[Objective] = []
    for place, entry in enumerate(options.items("trade_offs", most=TRADE_OFFS_MOST)):
        part = Document(entry, field=options.path(f"trade_offs.{place}"), faults=options.faults)
        part.only("metric", "direction")
        metric = part.text("metric", limit=METRIC_LONGEST)
        word = part.word("direction", ("minimize", "maximize"), default="minimize")
        if metric in [each.metric for each in found]:
            part.fault("metric", f"{metric[:60]!r} stands twice", "Name each metric once.")
        found.append(Objective(metric, "maximize" if word == "maximize" else "minimize", "last"))
    return tuple(found)


def weighted(history: History, place: int, seed: int) -> History:
    """With one loss a trial: what it lacks most, as the weights of this place see it. Trials without all of
    the metrics have none, and are left aside."""
    if history.others is None:
        return history
    columns = np.column_stack([history.losses, history.others])
    whole = history.valued & np.isfinite(columns).all(axis=1)
    losses = np.full(len(history), np.nan)
    if whole.any():
        scaled = np.column_stack([_scaled(column[whole]) for column in columns.T])
        shares = scaled * _weights(columns.shape[1], place, seed)
        losses[whole] = shares.max(axis=1) + AUGMENTED * shares.sum(axis=1)
    fates = np.where(history.valued & ~whole, np.int8(Fate.ASIDE), history.fates).astype(np.int8)
    return History(history.points, losses, fates, history.known)


def _scaled(losses: Array) -> Array:
    """From 0 for the best to 1 for the worst, bad ones drawn together."""
    found = standardised(losses)
    spread = float(np.ptp(found))
    return (found - found.min()) / spread if spread > 0 else np.zeros_like(found)


def _weights(count: int, place: int, seed: int) -> Array:
    turn = place % TURNS
    if count == 2:
        share = (turn + 0.5) / TURNS
        return np.array([share, 1 - share])
    chance = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(STREAM, turn)))
    return chance.dirichlet(np.ones(count))
