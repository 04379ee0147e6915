"""Figures of schedulers: who went on at which rung, and who copied whom."""

import base64
import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import plotly.graph_objects as go
import pytest
from numpy.typing import NDArray

from tunebook_server.domain.hyperparameter import Categorical, Float
from tunebook_server.domain.objective import Objective
from tunebook_server.figures import lineage, rungs
from tunebook_server.figures.axis import scale_of
from tunebook_server.figures.lineage import LineagePlot, Stretch

ERROR = Objective("valid/error")
RATE = scale_of("rate", Float("rate", 1e-5, 1.0, "log"))
HOSTILE = "<b>%{y}</b>$a$"


def numbers_of(spec: Mapping[str, str]) -> NDArray[np.float64]:
    return np.frombuffer(base64.b64decode(spec["bdata"]), spec["dtype"]).astype(np.float64)


def judged(trials: int, *, infinite: bool = False) -> rungs.RungsPlot:
    """Each third trial goes on from each rung."""
    found = [(number, step) for number in range(trials) for step in (5, 15, 45) if number % (step // 5) == 0]
    numbers, steps = (np.array(column, dtype=np.int64) for column in zip(*found, strict=True))
    losses = np.where(infinite, np.inf, 1.0 / (1 + numbers) + 1 / steps)
    stopped = numbers % (3 * (steps // 5)) != 0
    return rungs.compute(ERROR, ids=numbers + 7, numbers=numbers, steps=steps, losses=losses, stopped=stopped)


def test_every_rung_says_how_many_went_on() -> None:
    plot = judged(90)
    assert plot.counts == ((5.0, 90, 30), (15.0, 30, 10), (45.0, 10, 4))
    drawn = rungs.draw(plot)
    assert [each["text"] for each in drawn.layout["annotations"]] == ["30 of 90", "10 of 30", "4 of 10"]
    figure = drawn.plotly()
    assert isinstance(figure, go.Figure)
    assert [trace.name for trace in figure.data] == ["a trial", "goes on", "stopped"]
    assert [len(numbers_of(trace["x"])) for trace in drawn.data[1:]] == [44, 86]


@pytest.mark.parametrize("trials", [1, 2, 5_000])
@pytest.mark.parametrize("infinite", [False, True])
def test_every_size_is_drawn_and_bounded(trials: int, infinite: bool) -> None:
    drawn = rungs.draw(judged(trials, infinite=infinite))
    assert len(drawn.json()) < 200_000
    drawn.plotly()
    assert (drawn.data == []) == (trials < rungs.NEEDED_TRIALS)
    assert any("newest 1,000 of 5,000" in note for note in drawn.notes) == (trials == 5_000)


STRETCHES = (
    Stretch(1, 0, 1, 0, 10, 0.1),
    Stretch(1, 0, 2, 10, 20, 0.1),
    Stretch(2, 1, 1, 0, 10, 1e-4),
    Stretch(2, 1, 2, 10, 20, 0.125, parent=0),
)


def test_a_copy_is_drawn_from_its_parents_value() -> None:
    drawn = lineage.draw(LineagePlot(RATE, (0, 1), STRETCHES))
    drawn.plotly()
    *members, copies = drawn.data
    assert [trace["name"] for trace in members] == ["trial 1", "trial 0 (best)"]
    assert numbers_of(members[0]["x"]).tolist() == pytest.approx([0, 10, math.nan, 10, 20], nan_ok=True)
    assert len(members[0]["customdata"]) == 5
    assert numbers_of(copies["x"])[:2].tolist() == [10, 10]
    assert np.allclose(numbers_of(copies["y"])[:2], [0.1, 0.125])
    assert copies["text"][0] == "trial 1 from trial 0"
    assert "1 copy" in drawn.layout["xaxis"]["title"]["text"]


def test_hostile_choices_inactive_values_and_many_members() -> None:
    scale = scale_of(f"{HOSTILE}/state", Categorical("state", (HOSTILE, "plain")))
    inactive = [replace(each, value=math.nan) for each in STRETCHES]
    text = lineage.draw(LineagePlot(scale, (0, 1), tuple(inactive))).json()
    assert "<b>%{y}" not in text
    assert "</b>$" not in text
    many = tuple(Stretch(n, n, 1, 0, 10, 0.1 * (n + 1) % 1) for n in range(300))
    drawn = lineage.draw(LineagePlot(RATE, tuple(range(300)), many))
    assert sum(trace.showlegend for trace in drawn.plotly().data) == lineage.MEMBERS_COLOURED
