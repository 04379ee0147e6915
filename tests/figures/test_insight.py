"""Importance, contour, interaction, gradient norm and timeline: at every size, by Plotly's schema."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.figures.columns import ADAM, SPACE, trials
from tests.figures.test_axis import array, trace
from tunebook_server.domain.curve import Curve
from tunebook_server.domain.findings import Results
from tunebook_server.domain.importance import Importance, Importances, measure
from tunebook_server.domain.interaction import measure_interaction
from tunebook_server.domain.objective import Objective
from tunebook_server.domain.trial_columns import TrialColumns, state_code
from tunebook_server.figures import contour, gradient_norm, importance, interaction, marks, timeline
from tunebook_server.figures.axis import Scale, scale_of
from tunebook_server.figures.figure import Figure
from tunebook_server.figures.timeline import Span

ERROR = Objective("valid/error")
HOSTILE = "<b onclick=x>%{x}$a$</b>"
NOON = datetime(2026, 1, 2, 12)  # noqa: DTZ001 (in UTC, as storage reads it)


def draw_importance(columns: TrialColumns, objective: Objective = ERROR) -> Figure:
    results = Results(objective, SPACE, 48, columns)
    units = {SPACE.key(each): results.units(SPACE.key(each)) for each in SPACE.varied}
    return importance.draw(measure(units, {"optimizer": 2, "batch_norm": 2}, ended(results)), objective)


def draw_contour(
    columns: TrialColumns, objective: Objective = ERROR, x: str = ADAM, y: str = "layers"
) -> Figure:
    across, upwards = (scale_of(key, SPACE.parameter(key)) for key in (x, y))
    return contour.draw(contour.compute(columns, across, upwards, objective))


def draw_interaction(columns: TrialColumns, objective: Objective = ERROR) -> Figure:
    results = Results(objective, SPACE, 48, columns)
    keys = [SPACE.key(each) for each in results.nuisance]
    values = columns.values["optimizer"].astype(np.int64)
    units = {key: results.units(key) for key in keys}
    found = measure_interaction(values, 2, units, {"batch_norm": 2}, ended(results))
    return interaction.draw(
        found, "optimizer", ["nesterov", "adam"], {key: scale_of(key, SPACE.parameter(key)) for key in keys}
    )


def ended(results: Results) -> NDArray[np.float64]:
    return np.where(results.feasible, results.losses, np.where(results.infeasible, np.inf, np.nan))


OF_TRIALS: dict[str, Callable[[TrialColumns], Figure]] = {
    "importance": draw_importance,
    "contour": draw_contour,
    "contour of choices": lambda columns: draw_contour(columns, x="optimizer", y="batch_norm"),
    "interaction": draw_interaction,
}


@pytest.mark.parametrize("kind", OF_TRIALS)
@pytest.mark.parametrize("count", [0, 1, 48, 10_000])
def test_every_size_is_drawn(kind: str, count: int) -> None:
    columns = trials(count, infeasible_every=7)
    drawn = OF_TRIALS[kind](columns)
    drawn.plotly()
    named = [array(each["customdata"])[:, 0] for each in drawn.data if "customdata" in each]
    assert np.isin(np.concatenate([[], *named]), columns.ids).all(), "customdata is for trials alone"
    assert len(drawn.json()) < 200_000
    points = sum(
        len(array(each["x"])) for each in drawn.data if each.get("mode") == "markers" and "bdata" in each["x"]
    )
    assert points <= marks.SHOWN_TRIALS
    if count <= 1:
        assert drawn.data == []
        assert "wanted" in drawn.layout["annotations"][0]["text"]
    elif kind != "interaction" or count > 48:
        assert drawn.data


@pytest.mark.parametrize("kind", OF_TRIALS)
def test_infeasible_trials_alone_want_others(kind: str) -> None:
    drawn = OF_TRIALS[kind](trials(60, infeasible_every=1))
    drawn.plotly()
    assert drawn.data == []
    assert "wanted" in drawn.layout["annotations"][0]["text"]


@pytest.mark.parametrize("kind", OF_TRIALS)
def test_one_scientific_value_is_drawn_or_wants_a_second(kind: str) -> None:
    columns = trials(200)
    one = replace(columns, values={**columns.values, "optimizer": np.ones(200)})
    drawn = OF_TRIALS[kind](one)
    drawn.plotly()
    assert bool(drawn.data) == (kind != "interaction")


def test_importance_is_ordered_and_says_what_is_left_out() -> None:
    drawn = draw_importance(trials(200))
    drawn.plotly()
    (bars,) = drawn.data
    assert bars["x"] == sorted(bars["x"])
    assert sum(bars["x"]) == pytest.approx(1.0)
    assert bars["text"][-1].startswith("<b>learning_rate<br>optimizer=")
    low = [x - a for x, a in zip(bars["x"], bars["error_x"]["arrayminus"], strict=True)]
    assert min(low) >= -1e-12
    assert "learning_rate (" in draw_importance(trials(30)).notes[-1]


def test_the_contour_stars_the_best_and_crosses_the_infeasible_where_they_are() -> None:
    columns = trials(200, infeasible_every=9)
    for objective in (ERROR, Objective("acc", "maximize")):
        drawn = draw_contour(columns, objective)
        drawn.plotly()
        adam = columns.feasible & np.isfinite(columns.values[ADAM])
        best = columns.numbers[adam][np.argsort(objective.sign * columns.objective[adam])[:3]]
        assert array(trace(drawn, "best 3")["customdata"])[:, 1].tolist() == best.tolist()
        crosses = trace(drawn, "infeasible")
        numbers = array(crosses["customdata"])[:, 1]
        assert array(crosses["x"]) == pytest.approx(columns.values[ADAM][numbers], rel=1e-6)
        arrow = "↓" if objective.direction == "minimize" else "↑"
        assert arrow in drawn.data[0]["colorbar"]["title"]["text"]


def test_the_best_colour_stands_for_the_best_in_either_direction() -> None:
    low, high = (draw_contour(trials(200), Objective("m", way)).data[0] for way in ("minimize", "maximize"))
    assert low["colorscale"][0][1] == high["colorscale"][-1][1]
    assert [at for at, _ in high["colorscale"]] == sorted(at for at, _ in high["colorscale"])


def test_one_bad_trial_takes_no_colour_from_the_rest() -> None:
    columns = trials(200)
    columns.objective[int(np.flatnonzero(columns.values["optimizer"] == 1)[4])] = 1e6
    drawn = draw_contour(columns)
    assert drawn.data[0]["zmax"] < 1
    assert any("diverged" in note for note in drawn.notes)


def test_interaction_names_its_conclusions() -> None:
    columns = trials(400)
    layers = columns.values["layers"]
    best = np.where(columns.values["optimizer"] == 1, 1, 4)
    drawn = draw_interaction(replace(columns, objective=columns.objective + 0.1 * np.abs(layers - best)))
    drawn.plotly()
    top = drawn.layout["yaxis"]["ticktext"][-1]
    assert top == "layers<br>must be retuned together"
    dots = [each for each in drawn.data if each["mode"] == "markers"]
    assert [each["name"] for each in dots] == ["nesterov", "adam"]
    assert "layers 4" in " ".join(dots[0]["text"])


def hostile_scale() -> Scale:
    return Scale(HOSTILE, "choice", 0.0, 1.0, (HOSTILE, "b"), jitter=0.3)


def test_hostile_names_stay_text() -> None:
    columns = trials(200)
    named = replace(columns, values={**columns.values, HOSTILE: columns.values["optimizer"]})
    objective = Objective(HOSTILE)
    found = Importances(40, (Importance(HOSTILE, 40, 1.0, 1.0, 0.9, 1.0),), {HOSTILE: 3})
    groups = columns.values["batch_norm"].astype(np.int64)
    units = {HOSTILE: (columns.values["optimizer"] + 0.5) / 2}
    mixed = measure_interaction(groups, 2, units, {HOSTILE: 2}, columns.objective)
    curve = norms(np.linspace(1, 2, 50), HOSTILE)
    span = Span(1, 1, 1, HOSTILE, NOON, None, None, None)
    figures = [
        importance.draw(found, objective),
        contour.draw(
            contour.compute(named, hostile_scale(), scale_of("layers", SPACE.parameter("layers")), objective)
        ),
        interaction.draw(mixed, HOSTILE, [HOSTILE, HOSTILE], {HOSTILE: hostile_scale()}),
        gradient_norm.draw_steps(gradient_norm.compute(curve)),
        gradient_norm.draw_histogram(gradient_norm.compute(curve)),
        timeline.draw(timeline.compute([span], attempts=1, now=NOON)),
    ]
    for drawn in figures:
        drawn.plotly()
        assert drawn.data
        shown = replace(drawn, notes=()).json()  # notes are text of the page, which escapes them
        assert "<b onclick" not in shown
        assert "%{x}$a" not in shown


def norms(values: NDArray[np.float64], metric: str = "train/grad_norm") -> Curve:
    steps = np.arange(len(values), dtype=np.int64)
    return Curve(1, 1, metric, 1, steps, values, len(values), False)


def test_the_clipped_share_is_counted_and_advised_on() -> None:
    values = np.linspace(0.01, 1, 100)
    norm = gradient_norm.compute(norms(values), threshold=0.405)
    assert norm is not None
    assert norm.percentile == pytest.approx(np.quantile(values, 0.9))
    assert norm.clipped == pytest.approx(0.6)
    for drawn in (gradient_norm.draw_steps(norm), gradient_norm.draw_histogram(norm)):
        drawn.plotly()
        assert "more than half: lower the learning rate instead" in drawn.notes[0]
        assert len(drawn.layout["shapes"]) == 2
    own = gradient_norm.compute(norms(values))
    assert own is not None
    assert own.clipped == pytest.approx(0.1)
    assert len(gradient_norm.draw_histogram(own).layout["shapes"]) == 1


def test_bins_hold_every_finite_point_and_spikes_do_not_flatten() -> None:
    values = np.r_[np.random.default_rng(0).random(2_000) + 1, [1e4, np.nan, np.inf]]
    norm = gradient_norm.compute(norms(values))
    drawn = gradient_norm.draw_histogram(norm)
    drawn.plotly()
    assert int(array(drawn.data[0]["y"]).sum()) == 2_001
    assert max(array(drawn.data[0]["x"])) < 3
    assert "2 points NaN or infinite, left out of the axis." in drawn.notes
    assert any("clipped" in note for note in drawn.notes)
    steps = gradient_norm.draw_steps(norm)
    assert steps.layout["yaxis"]["range"][1] < 3
    assert len(array(steps.data[0]["x"])) <= gradient_norm.SHOWN_POINTS


@pytest.mark.parametrize(
    "values",
    [np.geomspace(1e-6, 1e3, 500), np.zeros(50), np.full(50, 2.0), np.r_[0.0, np.geomspace(1, 1e5, 99)]],
)
def test_norms_of_any_range_are_drawn(values: NDArray[np.float64]) -> None:
    for threshold in (None, 1e-3, 1e9):
        norm = gradient_norm.compute(norms(values), threshold=threshold)
        for drawn in (gradient_norm.draw_steps(norm), gradient_norm.draw_histogram(norm)):
            drawn.plotly()
            drawn.json()
            assert drawn.data


def test_a_trial_without_norms_says_what_to_report() -> None:
    drawn = gradient_norm.draw_steps(gradient_norm.compute(None))
    assert "metric named gradient_norm" in drawn.layout["annotations"][0]["text"]
    few = gradient_norm.draw_histogram(gradient_norm.compute(norms(np.full(12, np.nan))))
    assert "wanted (0 of 10)" in few.layout["annotations"][0]["text"]
    few.plotly()


def span(
    number: int, start: float, minutes: float | None, place: str = "gpu", outcome: str | None = None
) -> Span:
    claimed = NOON + timedelta(minutes=start)
    ended = None if minutes is None else claimed + timedelta(minutes=minutes)
    return Span(number + 100, number, 1, place, claimed, claimed, ended, outcome or (ended and "completed"))  # type: ignore[arg-type]


def test_attempts_that_overlap_take_slots_of_their_worker() -> None:
    spans = [span(0, 0, 10), span(1, 5, 10), span(2, 10, 5), span(3, 0, 1, "other")]
    plot = timeline.compute(spans, attempts=4, now=NOON + timedelta(hours=1))
    assert {bar.span.number: bar.row for bar in plot.bars} == {0: 0, 1: 1, 2: 0, 3: 2}
    assert plot.rows == ("gpu", "", "other")
    for row in range(3):
        bars = sorted((bar for bar in plot.bars if bar.row == row), key=lambda bar: bar.span.claimed)
        assert all(a.end <= b.span.claimed for a, b in pairwise(bars))


def test_bars_last_as_long_as_their_attempts_and_live_ones_until_now() -> None:
    now = NOON + timedelta(minutes=30)
    drawn = timeline.draw(
        timeline.compute([span(0, 0, 10), span(1, 12, None), span(2, 40, None)], attempts=900, now=now)
    )
    drawn.plotly()
    done, live = trace(drawn, "completed"), trace(drawn, "running")
    assert (done["base"], done["x"]) == (["2026-01-02 12:00:00.000"], [600_000])
    assert live["x"] == [18 * 60_000, 0]  # a claim that is newer than the clock that was read
    assert drawn.notes == ("The newest 3 of 900 attempts shown.",)
    assert "started after" in done["text"][0]


def test_every_outcome_has_its_own_look() -> None:
    outcomes = [outcome for outcome in timeline.LOOKS if outcome != timeline.LIVE]
    drawn = timeline.draw(
        timeline.compute(
            [span(n, 10 * n, 9, outcome=outcome) for n, outcome in enumerate(outcomes)],
            attempts=len(outcomes),
            now=NOON,
        )
    )
    drawn.plotly()
    assert [each["name"] for each in drawn.data] == outcomes
    assert len({each["marker"]["color"] for each in drawn.data}) == len(outcomes)
    assert timeline.draw(timeline.compute([], attempts=0, now=NOON)).data == []


def test_failed_trials_count_nowhere() -> None:
    columns = trials(200)
    columns.states[::2] = state_code("failed")
    assert "100 trials" in draw_importance(columns).layout["xaxis"]["title"]["text"]
