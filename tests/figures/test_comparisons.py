"""What the comparison figures say in words: sentences that must agree with the numbers beside them."""

from dataclasses import replace

import numpy as np
import pytest

from tests.figures.columns import ADAM, SPACE, trials
from tunebook_server.domain.objective import Objective
from tunebook_server.domain.trial_columns import TrialColumns
from tunebook_server.domain.value_groups import group
from tunebook_server.figures import best_steps, isolation, parallel, slice_by_value
from tunebook_server.figures.axis import scale_of

ERROR = Objective("valid/error")


def best_at(late: int, count: int) -> TrialColumns:
    """`late` of the trials were best at their last step, the others half-way."""
    columns = trials(count)
    return replace(columns, best_step=np.where(np.arange(count) < late, 100.0, 50.0))


@pytest.mark.parametrize(("late", "says"), [(100, False), (101, False), (102, True)])
def test_most_is_never_said_beside_fifty_percent(late: int, says: bool) -> None:
    drawn = best_steps.draw(best_steps.compute(best_at(late, 200), ERROR))
    share = drawn.layout["annotations"][1]["text"]
    assert any(note.startswith("Most") for note in drawn.notes) == says
    assert ("50%" in share) != says


def test_a_slice_with_one_colour_says_why() -> None:
    by = SPACE.parameter("optimizer")
    notes = {}
    for key in (ADAM, "layers"):
        scale = scale_of(key, SPACE.parameter(key))
        plot = slice_by_value.compute(trials(60), scale, ERROR, by=by, by_scale=scale_of("optimizer", by))
        notes[key] = slice_by_value.draw(plot).notes[0]
    assert notes == {
        ADAM: "Coloured by optimizer: learning_rate exists for optimizer=adam alone.",
        "layers": "Coloured by optimizer.",
    }


def test_a_winner_is_better_than_every_compared_value() -> None:
    columns = trials(200)
    columns.objective[columns.values["optimizer"] == 1] -= 5.0
    parameter = SPACE.parameter("optimizer")
    groups = group(parameter, columns.values["optimizer"])
    plot = isolation.compute(columns, groups, scale_of("optimizer", parameter), ERROR)
    drawn = isolation.draw(plot)
    assert drawn.notes[0].startswith("optimizer adam wins")
    assert "every other compared value" in drawn.notes[0]
    assert drawn.layout["yaxis"]["domain"][0] > 0, "the counts have a strip of their own"


def test_a_whole_number_has_whole_ticks() -> None:
    plot = parallel.compute(trials(60), SPACE, ERROR)
    (layers,) = [axis for axis in plot.axes if axis.title == "layers"]
    assert [label for _, label in layers.ticks] == ["1", "2", "3", "4"]
    assert all(note["bgcolor"] for note in parallel.draw(plot).layout["annotations"])
