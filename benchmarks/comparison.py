"""Methods beside one another on the same problems, budgets and seeds, in one run."""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

CHECKPOINTS = (20, 50, 100)
"""Trials after which the methods are compared."""
RESAMPLES = 2000
SHARES = (50, 99)
"""Percentiles of the time of an ask."""
Run = dict[str, Any]
Key = tuple[str, str, int, int]
"""Problem, method, how many at once, seed."""


@dataclass(frozen=True)
class Goal:
    """`lowest`: what nothing can fall below; None where nobody knows, then the lowest found stands for it."""

    lowest: float | None
    real: bool
    """Something is trained."""


@dataclass(frozen=True)
class Comparison:
    name: str
    text: str
    goals: Mapping[str, Goal]
    methods: Sequence[str]
    run: Callable[[Key, int], Run]
    """Of a key and a budget; see `made`."""

    def main(self) -> None:
        arguments = self._arguments()
        wanted = [
            (problem, method, at_once, seed)
            for seed in range(arguments.seeds)
            for problem in arguments.problems
            for at_once in arguments.at_once
            for method in arguments.methods
        ]
        found = _kept(arguments.runs)
        with ProcessPoolExecutor(arguments.jobs) as pool:
            missing = [pool.submit(self.run, key, arguments.budget) for key in wanted if key not in found]
            for done in as_completed(missing):
                new = done.result()
                found[_key(new)] = new
                if arguments.runs:
                    with arguments.runs.open("a") as file:
                        file.write(json.dumps(new) + "\n")
        for line in self._summary([found[key] for key in wanted], arguments.methods):
            sys.stdout.write(json.dumps({"benchmark": self.name, **line}) + "\n")

    def _arguments(self) -> argparse.Namespace:
        parser = argparse.ArgumentParser(
            description=self.text, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        parser.add_argument("--seeds", type=int, default=20)
        parser.add_argument("--budget", type=int, default=100)
        parser.add_argument("--at-once", type=int, nargs="+", default=[1, 8])
        parser.add_argument("--problems", nargs="+", default=list(self.goals), choices=list(self.goals))
        parser.add_argument("--methods", nargs="+", default=list(self.methods), choices=list(self.methods))
        parser.add_argument("--jobs", type=int, default=2)
        parser.add_argument("--runs", type=Path)
        return parser.parse_args()

    def _summary(self, runs: Sequence[Run], names: Sequence[str]) -> Iterator[Mapping[str, object]]:
        by_key = {_key(each): each for each in runs}
        seeds = sorted({each["seed"] for each in runs})
        for at_once in sorted({each["at_once"] for each in runs}):
            ranks: dict[int, list[NDArray[np.float64]]] = {}
            for problem in dict.fromkeys(each["problem"] for each in runs):
                of = [[by_key[problem, name, at_once, seed] for seed in seeds] for name in names]
                found = np.array([[_best(each) for each in row] for row in of])
                goal = self.goals[problem]
                regret = found - (float(np.nanmin(found)) if goal.lowest is None else goal.lowest)
                points = CHECKPOINTS[: found.shape[2]]
                for place, point in enumerate(points):
                    ranks.setdefault(point, []).append(rankdata(regret[:, :, place], axis=0))
                yield {
                    "problem": problem,
                    "real": goal.real,
                    "at_once": at_once,
                    "seeds": len(seeds),
                    "regret": {
                        name: {
                            str(point): _median(regret[row, :, place]) for place, point in enumerate(points)
                        }
                        for row, name in enumerate(names)
                    },
                    "infeasible_share": {
                        name: round(float(np.mean([each["infeasible"] for each in row])), 3)
                        for name, row in zip(names, of, strict=True)
                    },
                }
            yield _ranking(at_once, ranks, names, runs)


def made(key: Key, curve: Sequence[float], seconds: Sequence[float], infeasible: int) -> Run:
    """A run in one line: the lowest value after 20, 50 and 100 trials (None before the first feasible one),
    what asks cost, and the share of infeasible trials. `curve`: by trial, the lowest value so far."""
    problem, method, at_once, seed = key
    lowest = [curve[point - 1] for point in CHECKPOINTS if point <= len(curve)]
    return {
        "problem": problem,
        "method": method,
        "at_once": at_once,
        "seed": seed,
        "best": [None if np.isinf(value) else value for value in lowest],
        "ask_ms": [round(1000 * float(np.percentile(seconds, share)), 2) for share in SHARES],
        "infeasible": round(infeasible / len(curve), 3),
    }


def _key(run: Run) -> Key:
    return run["problem"], run["method"], run["at_once"], run["seed"]


def _kept(file: Path | None) -> dict[Key, Run]:
    if file is None or not file.exists():
        return {}
    return {_key(run): run for run in map(json.loads, file.read_text().splitlines())}


def _best(run: Run) -> list[float]:
    return [np.inf if value is None else value for value in run["best"]]


def _median(values: NDArray[np.float64]) -> list[float | None]:
    """With the ends of a bootstrap interval."""
    chance = np.random.default_rng(0)
    with np.errstate(invalid="ignore"):
        resampled = np.median(chance.choice(values, (RESAMPLES, len(values))), axis=1)
    found = [float(np.median(values)), *np.quantile(resampled, [0.025, 0.975], method="nearest").tolist()]
    return [float(f"{each:.4g}") if np.isfinite(each) else None for each in found]


def _ranking(
    at_once: int, ranks: Mapping[int, list[NDArray[np.float64]]], names: Sequence[str], runs: Sequence[Run]
) -> Mapping[str, object]:
    """Mean ranks over problems and seeds; the interval resamples problems' seeds together."""
    line: dict[str, object] = {"at_once": at_once, "methods": len(names)}
    chance = np.random.default_rng(0)
    for point, found in ranks.items():
        flat = np.concatenate(found, axis=1)
        resampled = np.array(
            [flat[:, chance.integers(flat.shape[1], size=flat.shape[1])].mean(axis=1) for _ in range(500)]
        )
        low, high = np.quantile(resampled, [0.025, 0.975], axis=0)
        line[f"mean_rank_{point}"] = {
            name: [round(float(x), 2) for x in (flat[place].mean(), low[place], high[place])]
            for place, name in enumerate(names)
        }
    asks = {
        name: [run["ask_ms"] for run in runs if (run["method"], run["at_once"]) == (name, at_once)]
        for name in names
    }
    line["ask_ms_p50_p99"] = {
        name: [round(float(np.median(each)), 2) for each in zip(*spent, strict=True)]
        for name, spent in asks.items()
    }
    return line
