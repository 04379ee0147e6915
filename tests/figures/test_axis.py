import base64
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.figures.columns import ADAM, SPACE, trials
from tunebook_server.domain.objective import Objective
from tunebook_server.domain.trial_columns import TrialColumns, state_code
from tunebook_server.figures import axis, marks
from tunebook_server.figures.figure import Figure

ERROR = Objective("valid/error")


def figure(columns: TrialColumns, key: str = ADAM, objective: Objective = ERROR, **options: Any) -> Figure:
    scale = axis.scale_of(key, SPACE.parameter(key))
    drawn = axis.draw(axis.compute(columns, scale, objective, **options))
    drawn.plotly()  # Plotly's own schema finds misspelt properties
    return drawn


def trace(figure: Figure, name: str) -> dict[str, Any]:
    return next(trace for trace in figure.data if trace["name"].startswith(name))


def array(spec: dict[str, str]) -> np.ndarray:
    flat = np.frombuffer(base64.b64decode(spec["bdata"]), spec["dtype"])
    return flat.reshape([int(n) for n in spec["shape"].split(",")]) if "shape" in spec else flat


def test_each_role_has_its_mark() -> None:
    drawn = figure(trials(60, infeasible_every=7, running=4))
    symbols = {each["name"]: each["marker"]["symbol"] for each in drawn.data}
    assert symbols == {
        "feasible": "circle",
        "infeasible": "x-thin",
        "best 3": "star",
        "running": "circle-open",
    }
    crosses = trace(drawn, "infeasible")
    assert crosses["yaxis"] == "y2"
    assert drawn.layout["yaxis2"]["domain"] == [0.94, 1]


def test_a_conditional_hyperparameter_shows_its_own_trials_only() -> None:
    columns = trials(60)
    drawn = figure(columns)
    shown = {int(number) for each in drawn.data for number in array(each["customdata"])[:, 1]}
    adam = {int(n) for n in columns.numbers[columns.values["optimizer"] == 1]}
    assert shown == adam
    assert (
        drawn.layout["xaxis"]["title"]["text"]
        == f"learning_rate (log)<br>optimizer=adam · {len(adam)} trials"
    )
    assert drawn.layout["xaxis"]["type"] == "log"


def test_edges_of_the_range_are_lines() -> None:
    edges = [shape["x0"] for shape in figure(trials(60)).layout["shapes"]]
    assert edges == [1e-4, 10]
    assert figure(trials(60), "optimizer").layout["shapes"] == []


def test_the_best_three_are_stars_in_either_direction() -> None:
    columns = trials(60)
    low, high = (np.sort(columns.objective)[:3], np.sort(columns.objective)[-3:])
    for objective, best in ((ERROR, low), (Objective("acc", "maximize"), high)):
        stars = array(trace(figure(columns, "layers", objective), "best 3")["y"])
        assert sorted(stars) == pytest.approx(sorted(best), rel=1e-6)


def test_one_bad_trial_does_not_flatten_the_rest() -> None:
    columns = trials(60)
    columns.objective[5] = 400.0
    clipped, full = (figure(columns, "layers", clip=clip, objective_scale="linear") for clip in (True, False))
    assert clipped.layout["yaxis"]["range"][1] < 1
    assert "1 trial diverged" in clipped.notes[0]
    assert 5 in array(trace(clipped, "infeasible")["customdata"])[:, 1]
    assert full.layout["yaxis"]["range"][1] > 400
    assert full.notes == ()


def test_many_trials_are_bounded_and_say_so() -> None:
    columns = trials(10_000, infeasible_every=5)
    drawn = figure(columns, "layers")
    counts = {each["name"]: len(array(each["x"])) for each in drawn.data}
    assert sum(counts.values()) == marks.SHOWN_TRIALS
    assert counts["infeasible"] == marks.SHOWN_INFEASIBLE
    assert counts["best 3"] == 3
    assert drawn.notes[0].startswith("1,500 of 10,000 trials shown")
    assert len(drawn.json()) < 80_000


def test_a_zoom_shows_what_was_left_out() -> None:
    columns = trials(10_000)
    whole, part = figure(columns), figure(columns, first=0.01, last=0.02)
    inside = array(trace(whole, "feasible")["x"])
    zoomed = array(trace(part, "feasible")["x"])
    assert ((zoomed >= 0.00999) & (zoomed <= 0.02001)).all()
    assert len(zoomed) > ((inside >= 0.01) & (inside <= 0.02)).sum()


def test_too_few_trials_say_how_many_more() -> None:
    for count, words in (
        (0, "3 more finished trials wanted (0 of 3)"),
        (2, "1 more finished trial wanted (2 of 3)"),
    ):
        drawn = figure(trials(count), "layers")
        assert drawn.data == []
        assert drawn.layout["annotations"][0]["text"] == words


def test_choices_keep_their_names_on_hover() -> None:
    drawn = figure(trials(60), "optimizer")
    assert drawn.layout["xaxis"]["ticktext"] == ["nesterov", "adam"]
    marked = trace(drawn, "feasible")
    assert [["nesterov", "adam"][int(place)] for place in np.rint(array(marked["x"]))] == marked["text"]
    assert set(trace(figure(trials(60), "batch_norm"), "feasible")["text"]) == {"false", "true"}


def test_failed_trials_and_those_without_a_value_are_left_out() -> None:
    columns = trials(60)
    columns.states[:10] = state_code("failed")
    columns.objective[10] = np.nan
    drawn = figure(columns, "layers")
    numbers = {int(n) for each in drawn.data for n in array(each["customdata"])[:, 1]}
    assert numbers == set(range(11, 60))


def test_a_wide_positive_objective_takes_a_log_axis() -> None:
    columns = trials(60)
    wide = replace(columns, objective=np.geomspace(1e-3, 1e2, 60))
    assert figure(wide, "layers").layout["yaxis"]["type"] == "log"
    assert figure(wide, "layers", objective_scale="linear").layout["yaxis"]["type"] == "linear"
    below_zero = replace(columns, objective=columns.objective - 0.1)
    assert figure(below_zero, "layers", objective_scale="log").layout["yaxis"]["type"] == "linear"


def test_values_added_by_hand_outside_the_range_are_in_view() -> None:
    columns = trials(60)
    columns.values[ADAM][columns.values["optimizer"] == 1] = 100.0
    assert figure(columns).layout["xaxis"]["range"][1] > 2
