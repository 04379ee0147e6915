"""Learning rates near the edge of stability, and curves that fall and then jump."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.findings.labels.instability import jumping, wall, walled
from tests.findings.measured_studies import (
    SPACE,
    falling,
    gentle,
    logged,
)
from tests.findings.studies import (
    only,
    study,
    verdicts,
)
from tunebook_server.domain.changes import Draw, Range, Trials
from tunebook_server.domain.findings import Verdict
from tunebook_server.domain.findings.instability import check, threshold_of
from tunebook_server.domain.samplers import sampler
from tunebook_server.domain.search_space import SearchSpace
from tunebook_server.domain.trial import Configuration

CONDITIONAL: list[dict[str, object]] = [
    {"name": "optimizer", "type": "categorical", "choices": ["sgd", "adam"], "role": "scientific"},
    {**SPACE[0], "when": {"optimizer": ["sgd"]}},
    {**SPACE[0], "high": 2.0, "when": {"optimizer": ["adam"]}},
    {"name": "clip", "type": "fixed", "value": 1.0},
]


def test_infeasible_trials_all_over_are_no_threshold() -> None:
    def unlucky(configuration: Configuration, random: np.random.Generator) -> float | None:
        return None if random.random() < 0.3 else gentle(configuration, random)

    found = [only(check(study(SPACE, unlucky, seed=seed)), "learning_rate") for seed in range(60)]
    assert np.mean([finding.evidence["infeasible_above"] is not None for finding in found]) <= 0.05


def test_the_threshold_lies_between_the_two_kinds() -> None:
    rates = np.geomspace(1e-4, 1.0, 41)
    found = threshold_of(np.roll(rates, 7), np.roll(rates > 0.15, 7))
    assert found == pytest.approx(np.sqrt(rates[rates <= 0.15].max() * rates[rates > 0.15].min()))


def test_a_curve_that_ends_in_nan_has_jumped() -> None:
    def lost(done: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
        return np.where(done < 0.7, falling(done, random), np.nan)

    finding = only(check(logged({"train/loss": lost})), "learning_rate")
    assert finding.verdict == Verdict.WARN
    assert finding.evidence["best_jumping"] == 3


def test_the_double_check_is_a_study_of_three_trials_in_its_space() -> None:
    results = walled(1.0, 0.2)(0.0, 0)
    proposal = only(check(results), "learning_rate").proposal
    assert proposal is not None
    widened, trials, drawn = proposal.changes
    assert isinstance(widened, Range)
    assert isinstance(drawn, Draw)
    assert trials == Trials(3)
    space = SearchSpace.parse([{**SPACE[0], "low": widened.low, "high": widened.high}, SPACE[1]])
    manual = sampler(drawn.name, dict(drawn.options))
    manual.check(space)
    rates = [float(each["learning_rate"]) for each in manual.suggest(space, seed=0, index=0, count=9)]
    best = float(results.columns.values["learning_rate"][results.ranked[0]])
    assert rates == pytest.approx([best, 5 * best, 10 * best])


def test_conditional_rates_are_judged_apart() -> None:
    def loss(configuration: Configuration, random: np.random.Generator) -> float | None:
        sgd = configuration["optimizer"] == "sgd"
        return wall(1.0 if sgd else 1e-2, 0.2, 0.0)(configuration, random)

    found = check(study(CONDITIONAL, loss, trials=80))
    assert verdicts(found) == {
        "optimizer=sgd/learning_rate": Verdict.WARN,
        "optimizer=adam/learning_rate": Verdict.PASS,
    }
    proposal = only(found, "optimizer=sgd/learning_rate").proposal
    assert proposal is not None
    (drawn,) = [change for change in proposal.changes if isinstance(change, Draw)]
    configurations = drawn.options["configurations"]
    assert isinstance(configurations, list)
    assert all(each["optimizer"] == "sgd" and each["clip"] == 1.0 for each in configurations)


def test_without_a_learning_rate_curves_still_count() -> None:
    assert verdicts(check(logged({"train/loss": jumping}, space=SPACE[1:], rule=lambda *_: 0.5))) == {
        "": Verdict.WARN
    }
    assert verdicts(check(study(SPACE[1:], lambda *_: 0.5))) == {"": Verdict.NOT_ENOUGH_DATA}


def test_trials_without_a_learning_rate_are_judged_by_their_curves() -> None:
    space = [{**CONDITIONAL[0], "choices": ["sgd", "lion"]}, CONDITIONAL[1]]
    found = verdicts(check(logged({"train/loss": jumping}, space=space, trials=30, rule=lambda *_: 0.5)))
    assert found == {"optimizer=sgd/learning_rate": Verdict.WARN, "": Verdict.WARN}


def test_trials_that_are_all_infeasible_need_a_feasible_one() -> None:
    finding = only(check(study(SPACE, lambda *_: None)), "learning_rate")
    assert finding.sentence == "1 more feasible trial needed (0 of 1)."


def test_few_trials_say_how_many_more_are_needed() -> None:
    finding = only(check(study(SPACE, wall(1.0, 0.2, 0.0), trials=8)), "learning_rate")
    assert finding.verdict == Verdict.NOT_ENOUGH_DATA
    assert finding.sentence == "2 more trials needed (8 of 10)."
