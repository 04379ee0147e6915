from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.figures.columns import trials
from tests.figures.test_axis import array
from tunebook_server.domain.objective import Objective
from tunebook_server.domain.trial_columns import TrialColumns, state_code
from tunebook_server.figures import best_of_k
from tunebook_server.figures.figure import Figure

ERROR = Objective("valid/error")
PARTS = ("lowerfence", "q1", "median", "q3", "upperfence")


def figure(columns: TrialColumns, objective: Objective = ERROR, **options: Any) -> Figure:
    drawn = best_of_k.draw(best_of_k.compute(columns, objective, **options))
    drawn.plotly()  # Plotly's own schema finds misspelt properties
    return drawn


def boxes(drawn: Figure) -> dict[int, list[float]]:
    """The five numbers of the box of every budget."""
    trace = drawn.data[0]
    parts = [array(trace[part]) for part in PARTS]
    sizes = array(trace["x"])
    return {int(size): [float(part[place]) for part in parts] for place, size in enumerate(sizes)}


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_a_box_is_what_resampling_finds(direction: str) -> None:
    columns = trials(60, infeasible_every=6)
    objective = Objective("m", direction)  # type: ignore[arg-type]
    drawn = boxes(figure(columns, objective))
    losses = objective.sign * columns.objective
    losses = np.where(np.isnan(losses), np.nanmax(losses), losses)
    random = np.random.default_rng(0)
    for size in (min(drawn), sorted(drawn)[len(drawn) // 2], max(drawn)):
        best = objective.sign * losses[random.integers(0, 60, (20_000, size))].min(axis=1)
        for level, value in zip(best_of_k.LEVELS, drawn[size], strict=True):
            assert (best < value - 1e-12).mean() <= level + 0.015
            assert (best <= value + 1e-12).mean() >= level - 0.015


def test_boxes_go_from_six_to_all_trials_and_come_down_to_the_best() -> None:
    drawn = figure(trials(60))
    found = boxes(drawn)
    assert (min(found), max(found)) == (6, 60)
    assert len(found) <= best_of_k.BOXES_MOST
    medians = [found[size][2] for size in sorted(found)]
    assert (np.diff(medians) <= 0).all()
    best = drawn.data[1]
    assert best["y"][0] == trials(60).objective.min()
    for five in found.values():
        assert five == sorted(five)
        assert five[0] >= best["y"][0]


def test_a_small_study_has_a_box_for_every_budget() -> None:
    drawn = figure(trials(14))
    assert sorted(boxes(drawn)) == list(range(1, 15))
    assert "log" not in drawn.layout["xaxis"]["title"]["text"]
    assert drawn.layout["xaxis"]["title"]["text"] == "trials in a study · 14 trials"


def test_ten_thousand_trials_stay_small_and_their_axis_is_logarithmic() -> None:
    drawn = figure(trials(10_000, infeasible_every=5))
    axis = drawn.layout["xaxis"]
    assert axis["type"] == "log"
    assert axis["title"]["text"] == "trials in a study (log) · 10,000 trials"
    assert axis["ticktext"] == ["10", "100", "1,000", "10,000"]
    assert len(drawn.json()) < 10_000
    assert figure(trials(60)).layout["xaxis"]["ticktext"] == ["10", "20", "50"]
    assert max(boxes(drawn)) == 10_000


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "10 more feasible trials wanted (0 of 10)"), (9, "1 more feasible trial wanted (9 of 10)")],
)
def test_too_few_trials_say_how_many_more(count: int, words: str) -> None:
    drawn = figure(trials(count))
    assert drawn.data == []
    assert drawn.layout["annotations"][0]["text"] == words


def test_infeasible_and_divergent_trials_count_as_the_worst_of_the_others() -> None:
    columns = trials(40, infeasible_every=10)
    columns.objective[5] = 400.0  # diverged
    worst = np.nanmax(np.delete(columns.objective, 5))
    drawn = figure(columns)
    assert max(value for five in boxes(drawn).values() for value in five) <= worst
    assert "5 infeasible trials count as the worst of the others." in drawn.notes
    assert "from the 40 ended" in drawn.notes[0]


def test_trials_that_have_not_ended_and_failed_ones_take_no_part() -> None:
    columns = trials(40, running=5)
    columns.states[:5] = state_code("failed")
    assert max(boxes(figure(columns))) == 30


def test_a_wide_positive_objective_takes_a_log_axis() -> None:
    wide = replace(trials(60), objective=np.geomspace(1e-6, 1e2, 60))
    assert figure(wide).layout["yaxis"]["type"] == "log"
    assert figure(wide, objective_scale="linear").layout["yaxis"]["type"] == "linear"
    assert figure(trials(60)).layout["yaxis"]["type"] == "linear"
    below_zero = replace(wide, objective=wide.objective - 50)
    assert figure(below_zero, objective_scale="log").layout["yaxis"]["type"] == "linear"


@pytest.mark.parametrize("value", [0.5, 0.0, 1e300, -1e-300])
def test_equal_results_are_drawn(value: float) -> None:
    low, high = figure(replace(trials(20), objective=np.full(20, value))).layout["yaxis"]["range"]
    assert low < high


def test_hostile_metric_names_are_shown_as_they_are() -> None:
    drawn = figure(trials(20), Objective("<b>x</b>%{y}"))
    assert "<b>" not in drawn.json()
