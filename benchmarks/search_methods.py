"""Who searches in `benchmarks.search`: our samplers, and those of other libraries, asked and told alike."""

import warnings
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np

from benchmarks.optuna_space import suggested
from benchmarks.vizier_searcher import Vizier
from tunebook_server.domain.samplers import sampler
from tunebook_server.domain.samplers.columns import columns
from tunebook_server.domain.samplers.history import Fate, History
from tunebook_server.domain.search_space import SearchSpace
from tunebook_server.domain.trial import Configuration


class Searcher(Protocol):
    def ask(self) -> tuple[int, Configuration]:
        """The number of a new trial, and what it tries."""

    def tell(self, number: int, loss: float | None) -> None:
        """None for one that was infeasible."""


class Ours:
    def __init__(
        self, name: str, space: SearchSpace, seed: int, options: Mapping[str, object] | None = None
    ) -> None:
        self._sampler, self._space, self._seed = sampler(name, options or {}), space, seed
        self._points = np.empty((0, len(space.dimensions)))
        self._losses: list[float] = []
        self._fates: list[int] = []
        self._order: list[int] = []

    def ask(self) -> tuple[int, Configuration]:
        number = len(self._fates)
        pending = [place for place in range(number) if self._fates[place] == Fate.PENDING]
        history = self._history([*self._order, *pending])
        (found,) = self._sampler.suggest(self._space, seed=self._seed, index=number, count=1, history=history)
        point = columns(self._space).settle(np.nan_to_num(self._space.to_unit(found), nan=0.5)[None])
        self._points = np.vstack([self._points, point])
        self._losses.append(np.nan)
        self._fates.append(Fate.PENDING)
        return number, found

    def tell(self, number: int, loss: float | None) -> None:
        self._losses[number] = np.nan if loss is None else loss
        self._fates[number] = Fate.INFEASIBLE if loss is None else Fate.FINISHED
        self._order.append(number)

    def _history(self, rows: list[int]) -> History:
        return History(self._points[rows], np.array(self._losses)[rows], np.array(self._fates, np.int8)[rows])


class Optuna:
    """What is infeasible is pruned, which its TPE learns from."""

    def __init__(self, make: Callable[[Any, int], Any], space: SearchSpace, seed: int) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.simplefilter("ignore")
        self._optuna, self._space = optuna, space
        self._study = optuna.create_study(sampler=make(optuna, seed))
        self._trials: dict[int, Any] = {}

    def ask(self) -> tuple[int, Configuration]:
        trial = self._study.ask()
        self._trials[trial.number] = trial
        return trial.number, suggested(trial, self._space)

    def tell(self, number: int, loss: float | None) -> None:
        state = self._optuna.trial.TrialState
        if loss is None:
            self._study.tell(self._trials.pop(number), state=state.FAIL)
        else:
            self._study.tell(self._trials.pop(number), loss)


def _qmc(optuna: Any, seed: int) -> Any:
    return optuna.samplers.QMCSampler(qmc_type="halton", scramble=True, seed=seed)


OPTUNA: Mapping[str, Callable[[Any, int], Any]] = {
    "Optuna random": lambda optuna, seed: optuna.samplers.RandomSampler(seed=seed),
    "Optuna QMC": _qmc,
    "Optuna TPE": lambda optuna, seed: optuna.samplers.TPESampler(seed=seed, constant_liar=True),
    "Optuna GP": lambda optuna, seed: optuna.samplers.GPSampler(seed=seed),
    "Optuna CMA-ES": lambda optuna, seed: optuna.samplers.CmaEsSampler(seed=seed),
}
VIZIER = "Vizier GP"
OURS = ("bayesian", "tpe", "cma_es", "halton", "random")


def methods() -> list[str]:
    vizier = (VIZIER,) if find_spec("vizier") else ()
    return [*OURS, *(OPTUNA if find_spec("optuna") else ()), *vizier]


def searcher(method: str, space: SearchSpace, seed: int) -> Searcher:
    if method in OURS:
        return Ours(method, space, seed)
    if method == VIZIER:
        return Vizier(space, seed)
    return Optuna(OPTUNA[method], space, seed)
