"""The spread between trainings of one configuration."""

from dataclasses import replace

import numpy as np
import pytest

from tests.findings.studies import study
from tunebook_server.domain.findings import Results
from tunebook_server.domain.findings.repeats import repeat_deviation

SPACE = [{"name": "rate", "type": "float", "low": 0.0, "high": 1.0}]


def repeated(losses: list[float]) -> Results:
    """All trials are of one configuration."""
    results = study(SPACE, lambda *_: 1.0, trials=len(losses))
    values = {key: np.full_like(column, 0.5) for key, column in results.columns.values.items()}
    columns = replace(results.columns, objective=np.array(losses), values=values)
    return replace(results, columns=columns)


def deviation(results: Results) -> float | None:
    return repeat_deviation(results.columns, results.objective)


def test_the_deviation_of_one_configuration() -> None:
    losses = np.random.default_rng(0).normal(1.0, 0.1, 12)
    assert deviation(repeated(losses.tolist())) == pytest.approx(losses.std(ddof=1))


def test_a_divergent_training_is_left_out() -> None:
    losses = np.random.default_rng(0).normal(1.0, 0.1, 12)
    assert deviation(repeated([*losses.tolist(), 1e6])) == pytest.approx(losses.std(ddof=1))


@pytest.mark.parametrize("losses", [[1.0], [1.0, 1.1, 0.9], [1e300, -1e300, 1e300, 0.0, 1.0]])
def test_too_few_or_too_wild_say_nothing(losses: list[float]) -> None:
    assert deviation(repeated(losses)) is None


def test_different_configurations_are_no_repeats() -> None:
    assert deviation(study(SPACE, lambda *_: 1.0)) is None
