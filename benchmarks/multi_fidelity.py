"""How many epochs a search needs until it has found a good model, under each scheduler.

    python -m benchmarks.multi_fidelity [--table .learning_curves.npz] [--seeds 30] [--workers 8]
        [--share 0.01] [--methods NAME ...] [--jobs 2]

Replays the table of `benchmarks.learning_curves`, which is made first where it is not there: so many workers
train in parallel, an epoch takes one unit of time, and a configuration that is suggested is the nearest of
the table that was not trained yet. Counts the epochs of all workers until an evaluation is as good as the
best `share` of all configurations get. A member of a population that copies another goes on along the curve
of its new values, from the epoch at which it copied. Beside ours, Optuna's successive halving and Hyperband
pruners and Syne Tune's ASHA and BOHB on the same table, where they are installed. One JSON line a method:
median, quartiles, and in how many seeds it got there at all before as many epochs as 300 whole trainings.
"""

import argparse
import heapq
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache, partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.learning_curves import TABLE
from benchmarks.learning_curves import main as make_table
from benchmarks.multi_fidelity_methods import Method, Optuna, Ours, SyneTune, Table, Trial
from benchmarks.multi_fidelity_population import epochs_of_populations
from tunebook_server.domain.samplers.history import Fate

TRAININGS_MOST = 300
PBT = "PBT"

Making = Callable[[int], Method]


def epochs_until(table: Table, method: Method, target: float, workers: int) -> int | None:
    """Of all workers together, until an evaluation reaches the target."""
    trials: list[Trial] = []
    taken: set[int] = set()
    spent, turns = 0, list[tuple[int, int]]()

    def begin(at: int) -> None:
        row = table.nearest(method.suggest(table, trials), taken)
        taken.add(row)
        trials.append(Trial(len(trials), row))
        heapq.heappush(turns, (at + 1, trials[-1].number))

    for _ in range(workers):
        begin(0)
    while spent < TRAININGS_MOST * table.epochs and len(taken) < len(table.points):
        at, number = heapq.heappop(turns)
        trial = trials[number]
        trial.best = min(trial.best, float(table.losses[trial.row, trial.epoch]))
        diverged = not np.isfinite(table.losses[trial.row, trial.epoch])
        trial.epoch, spent = trial.epoch + 1, spent + 1
        if trial.best <= target:
            return spent
        over = trial.epoch == table.epochs or diverged
        pruned = not over and not method.goes_on(trial)
        if over or pruned:
            trial.fate = Fate.STOPPED if pruned else Fate.INFEASIBLE if diverged else Fate.FINISHED
            if diverged:
                trial.best = np.inf
            method.told(trial, pruned=pruned)
            begin(at)
        else:
            heapq.heappush(turns, (at + 1, number))
    return None


def methods(epochs: int) -> Iterator[tuple[str, Making]]:
    halving: dict[str, object] = {"min_steps": 1, "max_steps": epochs, "reduction_factor": 3}
    later = {**halving, "min_steps": 3}
    for name, options, sampling, words in (
        ("none", {}, "random", "random, full length"),
        ("none", {}, "halton", "halton, full length"),
        ("none", {}, "bayesian", "bayesian, full length"),
        ("median", {"min_steps": 3, "interval": 3}, "halton", "median rule"),
        ("asha", halving, "halton", "ASHA"),
        ("asha", later, "halton", "ASHA from 3"),
        ("asha", halving, "tpe", "ASHA, TPE"),
        ("asha", halving, "bayesian", "ASHA, bayesian"),
        ("hyperband", halving, "halton", "Hyperband"),
        ("bohb", halving, "tpe", "BOHB, TPE"),
        ("bohb", halving, "bayesian", "BOHB, bayesian"),
    ):
        yield words, lambda seed, n=name, o=options, s=sampling: Ours(n, o, s, seed)  # type: ignore[misc]
    if find_spec("optuna"):
        for pruner, sampling in (("asha", "random"), ("hyperband", "random"), ("hyperband", "tpe")):
            yield (
                f"Optuna {pruner}, {sampling}",
                lambda seed, p=pruner, s=sampling: Optuna(p, s, epochs, seed),  # type: ignore[misc]
            )
    if find_spec("syne_tune"):
        for kind in ("ASHA", "BOHB"):
            yield f"Syne Tune {kind}", lambda seed, k=kind: SyneTune(k, epochs, seed)  # type: ignore[misc]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--table", type=Path, default=TABLE)
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--share", type=float, default=0.01)
    every = [*(words for words, _ in methods(81)), PBT]
    parser.add_argument("--methods", nargs="+", default=every, choices=every)
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    if not arguments.table.exists():
        sys.argv = [sys.argv[0], "--out", str(arguments.table)]
        make_table()
    seeds = range(arguments.seeds)
    with ProcessPoolExecutor(arguments.jobs) as pool:
        counts = {
            words: pool.map(partial(count, words, arguments.table, arguments.share, arguments.workers), seeds)
            for words in arguments.methods
        }
        for words, found in counts.items():
            sys.stdout.write(json.dumps(line(words, list(found))) + "\n")
            sys.stdout.flush()


def count(words: str, file: Path, share: float, workers: int, seed: int) -> int | None:
    threadpool_limits(1)
    table = stored(file)
    if words == PBT:
        most = TRAININGS_MOST * table.epochs
        return epochs_of_populations(table, seed, table.target(share), workers=workers, most=most)
    return epochs_until(table, dict(methods(table.epochs))[words](seed), table.target(share), workers)


@lru_cache(maxsize=1)
def stored(file: Path) -> Table:
    content = np.load(file)
    return Table(content["points"], content["losses"].astype(np.float64))


def line(words: str, found: Sequence[int | None]) -> Mapping[str, object]:
    reached = sorted(each if each is not None else np.inf for each in found)
    quartiles = [reached[int(share * (len(reached) - 1))] for share in (0.25, 0.5, 0.75)]
    return {
        "benchmark": "multi_fidelity",
        "method": words,
        "epochs_median": quartiles[1] if np.isfinite(quartiles[1]) else None,
        "epochs_quartiles": [each if np.isfinite(each) else None for each in quartiles[::2]],
        "reached": sum(each is not None for each in found),
        "seeds": len(found),
    }


if __name__ == "__main__":
    main()
