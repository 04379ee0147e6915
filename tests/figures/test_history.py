import numpy as np
import pytest

from tests.figures.columns import trials
from tests.figures.test_axis import array
from tunebook_server.domain.objective import Objective
from tunebook_server.figures import history


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_the_line_is_the_best_so_far(direction: str) -> None:
    columns = trials(60, infeasible_every=9)
    objective = Objective("m", direction)  # type: ignore[arg-type]
    plot = history.compute(columns, objective)
    values = np.where(columns.feasible, objective.sign * columns.objective, np.inf)
    best = np.minimum.accumulate(values) * objective.sign
    for number, value in zip(plot.best_numbers, plot.best_values, strict=True):
        assert best[number] == value
    assert plot.best_numbers[-1] == 59
    drawn = history.draw(plot)
    drawn.plotly()
    assert drawn.data[0]["line"]["shape"] == "hv"


def test_ten_thousand_trials_stay_small() -> None:
    drawn = history.draw(history.compute(trials(10_000), Objective("m")))
    assert sum(len(array(trace["x"])) for trace in drawn.data[1:]) == 1_500
    assert len(drawn.json()) < 80_000


def test_one_trial_asks_for_another() -> None:
    drawn = history.draw(history.compute(trials(1), Objective("m")))
    assert drawn.layout["annotations"][0]["text"] == "1 more finished trial wanted (1 of 2)"
