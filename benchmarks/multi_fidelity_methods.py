"""Who searches in `benchmarks.multi_fidelity`: samplers and schedulers of ours and of other libraries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.learning_curves import SPACE
from benchmarks.optuna_space import suggested
from tunebook_server.domain.hyperparameter import Categorical, Fixed, Float, Integer
from tunebook_server.domain.samplers import sampler
from tunebook_server.domain.samplers.fidelity import Reached, at_one_fidelity
from tunebook_server.domain.samplers.history import Fate, History
from tunebook_server.domain.samplers.learner import quasi_random_first
from tunebook_server.domain.schedulers import Kind, scheduler
from tunebook_server.domain.schedulers.scheduler import Earlier
from tunebook_server.domain.trial import Value

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Table:
    """`points`: (n, D), NaN where inactive; `losses`: (n, epochs)."""

    points: Array
    losses: Array

    @property
    def epochs(self) -> int:
        return int(self.losses.shape[1])

    def target(self, share: float) -> float:
        best = np.minimum.accumulate(self.losses, axis=1)[:, -1]
        return float(np.quantile(best, share))

    def nearest(self, point: Array, taken: set[int]) -> int:
        """The free configuration that is most like `point`; what is inactive in one alone is far apart."""
        apart = np.abs(self.points - point)
        apart = np.where(np.isnan(self.points) & np.isnan(point), 0.0, np.nan_to_num(apart, nan=1.0))
        distance = (apart**2).sum(axis=1)
        distance[list(taken)] = np.inf
        return int(np.argmin(distance))


@dataclass
class Trial:
    number: int
    row: int
    best: float = np.inf
    epoch: int = 0
    fate: Fate = Fate.PENDING
    rungs: dict[int, float] = field(default_factory=dict)


class Method(Protocol):
    def suggest(self, table: Table, trials: Sequence[Trial]) -> Array:
        """A point of the unit cube, (D,), for a new trial behind these."""

    def goes_on(self, trial: Trial) -> bool:
        """Asked after each epoch but the last."""

    def told(self, trial: Trial, *, pruned: bool) -> None:
        """The trial has ended."""


class Ours:
    """A sampler and a scheduler, as a study has them."""

    def __init__(self, name: str, options: dict[str, object], sampling: str, seed: int) -> None:
        self._scheduler = scheduler(name, options)
        self._sampler, self._seed = sampler(sampling, {}), seed
        self._judged: dict[tuple[int, int], list[tuple[float, bool]]] = {}
        self._reached: list[tuple[int, int, float]] = []

    def suggest(self, table: Table, trials: Sequence[Trial]) -> Array:
        history = None
        if self._sampler.learns:
            history = self._history(table, trials)
        (found,) = self._sampler.suggest(SPACE, seed=self._seed, index=len(trials), count=1, history=history)
        return SPACE.to_unit(found)

    def goes_on(self, trial: Trial) -> bool:
        bracket = self._scheduler.bracket(trial.number)
        if self._scheduler.last_rung(bracket, trial.epoch) != trial.epoch:
            return True
        earlier = self._judged.setdefault((bracket, trial.epoch), [])
        losses, went_on = zip(*earlier, strict=True) if earlier else ((), ())
        decision = self._scheduler.decide(trial.best, Earlier(np.array(losses), np.array(went_on, np.bool_)))
        goes_on = decision.kind is Kind.CONTINUE
        earlier.append((trial.best, goes_on))
        self._reached.append((trial.number, trial.epoch, trial.best))
        return goes_on

    def told(self, trial: Trial, *, pruned: bool) -> None:
        """What is known of it stands in the trial."""

    def _history(self, table: Table, trials: Sequence[Trial]) -> History:
        fates = np.array([each.fate for each in trials], dtype=np.int8)
        losses = np.array([each.best if each.fate is not Fate.PENDING else np.nan for each in trials])
        fates[np.isposinf(losses)] = Fate.INFEASIBLE
        rows = np.array([each.row for each in trials], dtype=np.intp)
        points = table.points[rows]
        history = History(points, np.where(np.isfinite(losses), losses, np.nan), fates)
        if self._scheduler.next_rung(0, None) is None or not self._reached:
            return history
        numbers, steps, values = (np.array(column) for column in zip(*self._reached, strict=True))
        reached = Reached(numbers.astype(np.int64), steps.astype(np.int64), values.astype(np.float64))
        ids = np.array([each.number for each in trials], dtype=np.int64)
        return at_one_fidelity(history, ids, reached, quasi_random_first(SPACE))


class Optuna:
    """A sampler and a pruner of Optuna, asked and told in the same order."""

    def __init__(self, pruner: str, sampling: str, epochs: int, seed: int) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        made = {
            "hyperband": lambda: optuna.pruners.HyperbandPruner(
                min_resource=1, max_resource=epochs, reduction_factor=3
            ),
            "asha": lambda: optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3),
        }[pruner]()
        samplers = {"random": optuna.samplers.RandomSampler, "tpe": optuna.samplers.TPESampler}
        self._study = optuna.create_study(sampler=samplers[sampling](seed=seed), pruner=made)
        self._trials: dict[int, Any] = {}
        self._optuna: Any = optuna

    def suggest(self, table: Table, trials: Sequence[Trial]) -> Array:
        trial = self._study.ask()
        self._trials[len(trials)] = trial
        return SPACE.to_unit(suggested(trial, SPACE))

    def goes_on(self, trial: Trial) -> bool:
        asked = self._trials[trial.number]
        asked.report(trial.best, trial.epoch)
        return not asked.should_prune()

    def told(self, trial: Trial, *, pruned: bool) -> None:
        state = self._optuna.trial.TrialState
        if pruned:
            self._study.tell(self._trials[trial.number], state=state.PRUNED)
        elif np.isfinite(trial.best):
            self._study.tell(self._trials[trial.number], trial.best)
        else:
            self._study.tell(self._trials[trial.number], state=state.FAIL)


class SyneTune:
    """A scheduler of Syne Tune, which knows no conditions: both learning rates are drawn each time."""

    def __init__(self, kind: str, epochs: int, seed: int) -> None:
        from syne_tune.backend.trial_status import Trial as TheirTrial
        from syne_tune.optimizer import baselines

        self._trial: Any = TheirTrial
        self._trials: dict[int, Any] = {}
        self._scheduler = getattr(baselines, kind)(
            _syne_tune_space(), "loss", time_attr="epoch", max_t=epochs, do_minimize=True, random_seed=seed
        )

    def suggest(self, table: Table, trials: Sequence[Trial]) -> Array:
        drawn = self._scheduler.suggest().config
        trial = self._trial(len(trials), drawn, datetime.now(tz=UTC))
        self._trials[len(trials)] = trial
        self._scheduler.on_trial_add(trial)
        return SPACE.to_unit(_active(drawn))

    def goes_on(self, trial: Trial) -> bool:
        reported = {"loss": trial.best, "epoch": trial.epoch}
        return bool(self._scheduler.on_trial_result(self._trials[trial.number], reported) == "CONTINUE")

    def told(self, trial: Trial, *, pruned: bool) -> None:
        told = self._trials[trial.number]
        if not np.isfinite(trial.best):
            self._scheduler.on_trial_error(told)
        elif not pruned:
            self._scheduler.on_trial_complete(told, {"loss": trial.best, "epoch": trial.epoch})


def _syne_tune_space() -> dict[str, object]:
    from syne_tune import config_space

    space: dict[str, object] = {}
    for node in SPACE.nodes:
        each = node.parameter
        if isinstance(each, Float):
            kind = config_space.loguniform if each.scale == "log" else config_space.uniform
            space[node.key] = kind(each.low, each.high)
        elif isinstance(each, Integer):
            kind = config_space.lograndint if each.scale == "log" else config_space.randint
            space[node.key] = kind(each.low, each.high)
        elif isinstance(each, Categorical):
            space[node.key] = config_space.choice(list(each.choices))
    return space


def _active(drawn: Mapping[str, Value]) -> dict[str, Value]:
    configuration: dict[str, Value] = {}
    for node in SPACE.active_nodes(configuration):
        each = node.parameter
        configuration[each.name] = each.value if isinstance(each, Fixed) else drawn[node.key]
    return configuration
