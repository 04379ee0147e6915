import numpy as np
import pytest

from tests.figures.test_axis import array
from tunebook_server.domain import families
from tunebook_server.domain.curve import Curve
from tunebook_server.domain.objective import Objective
from tunebook_server.figures import curves
from tunebook_server.figures.curves import CurveTrial

ERROR = Objective("valid/error")


def curve(trial: int, metric: str, values: list[float] | np.ndarray) -> Curve:
    values = np.asarray(values, dtype=float)
    steps = np.arange(len(values), dtype=np.int64) * 10
    return Curve(trial, trial - 100, metric, 1, steps, values, len(values), False)


def test_train_and_validation_share_a_colour_and_differ_by_dash() -> None:
    members = [curve(t, m, [0.5, 0.3, 0.2]) for t in (101, 102) for m in ("train/error", "valid/error")]
    plot = curves.compute(members, [CurveTrial(101, 1, 20, 0), CurveTrial(102, 2, None, 1)], ERROR)
    drawn = curves.draw(plot)
    drawn.plotly()
    lines = [trace for trace in drawn.data if trace["mode"] == "lines"]
    looks = {(trace["meta"]["trial"], trace["meta"]["metric"]): trace["line"] for trace in lines}
    valid, train, other = (
        looks[key] for key in ((101, "valid/error"), (101, "train/error"), (102, "valid/error"))
    )
    assert valid["color"] == train["color"] != other["color"]
    assert (valid["dash"], train["dash"]) == ("solid", "dot")
    assert [trace["name"] for trace in lines if trace["showlegend"]] == ["trial 1", "trial 2"]
    marked = [trace for trace in drawn.data if trace["name"] == "best step"]
    assert [(trace["x"], trace["y"]) for trace in marked] == [([20], [0.2])]
    assert drawn.layout["yaxis"]["title"]["text"] == "error ↓ better"


def test_the_raw_curve_stays_under_the_smoothed_one() -> None:
    values = np.linspace(1, 0, 100) + np.tile([0.1, -0.1], 50)
    drawn = curves.draw(
        curves.compute(
            [curve(101, "valid/error", values)], [CurveTrial(101, 1, None, 0)], ERROR, smooth_points=10
        )
    )
    raw, smooth = drawn.data
    assert (raw["opacity"], raw["showlegend"]) == (0.3, False)
    assert array(raw["y"]) == pytest.approx(values)
    assert np.abs(np.diff(array(smooth["y"])))[1:-1].max() < 0.03


def test_smoothing_keeps_gaps_and_has_no_lag() -> None:
    values = np.array([0.0, 1.0, np.nan, 3.0, 4.0])
    assert curves.smoothed(values, 3) == pytest.approx([0.0, 0.5, np.nan, 3.5, 4.0], nan_ok=True)
    line = np.arange(50.0)
    assert curves.smoothed(line, 9) == pytest.approx(line)
    steep = np.array([1.0] + [0.0] * 40)
    assert np.flatnonzero(curves.smoothed(steep, 32)).tolist() == [0, 1, 2]


def test_a_thousand_other_trials_are_one_trace_with_gaps() -> None:
    members = [curve(t, "valid/error", [0.5, 0.4, 0.3]) for t in range(100, 1_100)]
    shown = [CurveTrial(t, t - 100, None, t - 100 if t < 103 else None) for t in range(100, 1_100)]
    drawn = curves.draw(curves.compute(members, shown, ERROR))
    drawn.plotly()
    assert len(drawn.data) == 4
    behind = drawn.data[0]
    assert behind["name"] == "997 other trials"
    assert np.isnan(array(behind["y"])).sum() == 997
    assert array(behind["customdata"])[0].tolist() == [103, 3]


def test_nan_and_infinity_are_gaps_that_are_counted() -> None:
    drawn = curves.draw(
        curves.compute(
            [curve(101, "valid/error", [1.0, np.nan, np.inf, 0.5])], [CurveTrial(101, 1, None, 0)], ERROR
        )
    )
    assert np.isnan(array(drawn.data[0]["y"])).tolist() == [False, True, True, False]
    assert "2 points NaN or infinite, shown as gaps." in drawn.notes


def test_the_first_steps_do_not_flatten_the_rest() -> None:
    values = np.concatenate([[80.0, 9.0], np.linspace(1, 0.5, 198)])
    shown = [CurveTrial(101, 1, None, 0)]
    clipped = curves.draw(curves.compute([curve(101, "valid/error", values)], shown, ERROR))
    assert clipped.layout["yaxis"]["range"][1] < 10
    assert any("clipped" in note for note in clipped.notes)
    full = curves.draw(curves.compute([curve(101, "valid/error", values)], shown, ERROR, clip=False))
    assert "range" not in full.layout["yaxis"]


def test_families_put_the_objective_first_and_validation_before_train() -> None:
    found = families.families(
        ["train/loss", "valid/loss", "lr", "train/error", "valid/error", "val_f1"], first="valid/error"
    )
    assert [family.name for family in found] == ["error", "loss", "f1", "lr"]
    assert found[0].metrics == ("valid/error", "train/error")
    assert families.split("grad_norm") == ("", "grad_norm")
