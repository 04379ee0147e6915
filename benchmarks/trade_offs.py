"""How good the searches for a Pareto front are, beside those of Optuna: same problems, budgets and seeds.

    python -m benchmarks.trade_offs [--seeds 20] [--budget 100] [--at-once 1 8] [--problems NAME ...]
        [--methods NAME ...] [--jobs 2] [--runs FILE]

As `benchmarks.search`, for two losses at once: regret is what a run's hypervolume lacks of the true front's,
as a share of it, or, where nobody knows that, of the best run's, as a share of the reference box.
"""

import time
import warnings
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.comparison import Comparison, Goal, Key, Run, made
from benchmarks.optuna_space import suggested
from benchmarks.search_methods import Ours
from benchmarks.trade_off_problems import Losses, problems
from tunebook_server.domain.pareto import hypervolumes
from tunebook_server.domain.samplers.history import History
from tunebook_server.domain.search_space import SearchSpace
from tunebook_server.domain.trial import Configuration

OPTUNA: Mapping[str, Callable[[Any, int], Any]] = {
    "Optuna random": lambda optuna, seed: optuna.samplers.RandomSampler(seed=seed),
    "Optuna NSGA-II": lambda optuna, seed: optuna.samplers.NSGAIISampler(seed=seed, population_size=20),
    "Optuna TPE": lambda optuna, seed: optuna.samplers.TPESampler(seed=seed, constant_liar=True),
    "Optuna GP": lambda optuna, seed: optuna.samplers.GPSampler(seed=seed),
}
OURS = {"bayesian": True, "tpe": True, "halton": False}
"""And whether it learns."""
TRADE_OFFS = {"trade_offs": [{"metric": "other", "direction": "minimize"}]}


class OurTradeOffs(Ours):
    def __init__(self, name: str, space: SearchSpace, seed: int) -> None:
        super().__init__(name, space, seed, TRADE_OFFS if OURS[name] else {})
        self._others: dict[int, float] = {}

    def tell_both(self, number: int, losses: Losses) -> None:
        self._others[number] = losses[1]
        self.tell(number, losses[0])

    def _history(self, rows: list[int]) -> History:
        found = super()._history(rows)
        others = np.array([[self._others.get(row, np.nan)] for row in rows]).reshape(-1, 1)
        return History(found.points, found.losses, found.fates, others=others)


class OptunaTradeOffs:
    def __init__(self, name: str, space: SearchSpace, seed: int) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.simplefilter("ignore")
        sampler = OPTUNA[name](optuna, seed)
        self._study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)
        self._space = space
        self._trials: dict[int, Any] = {}

    def ask(self) -> tuple[int, Configuration]:
        trial = self._study.ask()
        self._trials[trial.number] = trial
        return trial.number, suggested(trial, self._space)

    def tell_both(self, number: int, losses: Losses) -> None:
        self._study.tell(self._trials.pop(number), losses)


def methods() -> list[str]:
    return [*OURS, *(OPTUNA if find_spec("optuna") else ())]


def run(key: Key, budget: int) -> Run:
    name, method, at_once, seed = key
    threadpool_limits(1)
    problem = problems()[name]
    make = OurTradeOffs if method in OURS else OptunaTradeOffs
    search = make(method, problem.space, seed)
    pending: list[tuple[int, Losses]] = []
    found, seconds = [], []
    for _ in range(budget):
        if len(pending) >= at_once:
            search.tell_both(*pending.pop(0))
        start = time.process_time()
        number, configuration = search.ask()
        seconds.append(time.process_time() - start)
        found.append(problem.losses(configuration))
        pending.append((number, found[-1]))
    first, second = np.array(found).T
    whole = problem.volume or problem.reference[0] * problem.reference[1]
    curve = -hypervolumes(first, second, problem.reference) / whole
    return made(key, curve.tolist(), seconds, infeasible=0)


if __name__ == "__main__":
    Comparison(
        name="trade_offs",
        text=__doc__,
        goals={name: Goal(problem.volume and -1.0, problem.real) for name, problem in problems().items()},
        methods=methods(),
        run=run,
    ).main()
