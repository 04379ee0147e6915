"""The playbook's figures, rebuilt: data of their shape must lead to the verdict that it draws from them."""

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine

from tests.playbook import figures as rebuilt
from tests.playbook.figures import RETRAIN_DEVIATION, UNSTABLE_ABOVE
from tests.playbook.trainings import START_ERROR
from tunebook_server.domain import changes
from tunebook_server.domain.changes import Draw, Range, Trials
from tunebook_server.domain.study import Study
from tunebook_server.services import figures, findings, trials
from tunebook_server.services.trial_columns import read

JUMP_WITHIN = 5 * 250  # steps: the evaluations over which its level is measured

DOCUMENTED = (Path(__file__).parents[2] / "docs/playbook-figures.md").read_text()


def quoted(finding: dict[str, Any]) -> bool:
    """Whether docs/playbook-figures.md gives its sentence, word by word."""
    return f"\n> {finding['sentence']}\n" in DOCUMENTED


def found(engine: Engine, study: Study, item: str, subject: str = "") -> dict[str, Any]:
    kept = findings.get(engine, study_id=study.id)
    assert kept is not None
    assert kept.revision == study.revision
    (one,) = [each for each in kept.items if (each["item"], each["subject"]) == (item, subject)]
    return dict(one)


def warned(engine: Engine, study: Study) -> set[tuple[str, str]]:
    kept = findings.get(engine, study_id=study.id)
    assert kept is not None
    return {(each["item"], each["subject"]) for each in kept.items if each["verdict"] in ("warn", "fail")}


def proposed(finding: dict[str, Any]) -> Sequence[changes.Change]:
    return changes.parse(finding["proposal"]["changes"])


def drawn(engine: Engine, study: Study, kind: str, **options: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(
        figures.figure(engine, study_id=study.id, kind=kind, options=options)
    )
    return content


def traces(figure: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {trace["name"]: trace for trace in figure["data"]}


def numbers(trace: dict[str, Any], axis: str) -> list[float]:
    """Of a trace, whose numbers may be packed."""
    values = trace[axis]
    if isinstance(values, dict):
        values = np.frombuffer(base64.b64decode(values["bdata"]), dtype=np.dtype(values["dtype"]))
    return [float(value) for value in values]


def by_rank(engine: Engine, study: Study) -> list[dict[str, Any]]:
    """What was reported for every feasible trial, the best first."""
    rows = trials.page(engine, study_id=study.id, sort="objective", limit=500).items
    return [
        {**row.trial.parameters, "error": row.trial.objective}
        for row in rows
        if row.trial.state == "completed" and row.trial.objective is not None
    ]


def test_figure_1_bad_the_best_crowd_at_an_edge(engine: Engine) -> None:
    study = rebuilt.bad_boundary().study(engine)
    finding = found(engine, study, "boundary", "learning_rate")
    assert finding["verdict"] == "warn"
    assert quoted(finding)
    assert "crowd at the upper edge" in finding["sentence"]
    assert list(proposed(finding)) == [Range("learning_rate", 1e-4, 1.0)]
    assert warned(engine, study) == {("boundary", "learning_rate")}

    figure = drawn(engine, study, **_shown(finding))
    marks = traces(figure)
    best = [trial["learning_rate"] for trial in by_rank(engine, study)[:3]]
    assert min(best) > 0.05
    assert marks["best 3"]["marker"]["symbol"] == "star"
    assert sorted(numbers(marks["best 3"], "x")) == pytest.approx(sorted(best))
    assert {shape["x0"] for shape in figure["layout"]["shapes"]} == {1e-4, 0.1}, "the range's edges"


def test_figure_1_good_the_best_lie_inside(engine: Engine) -> None:
    study = rebuilt.good_boundary().study(engine)
    finding = found(engine, study, "boundary", "learning_rate")
    assert finding["verdict"] == "pass"
    assert quoted(finding)
    assert warned(engine, study) == set()
    assert all(0.01 < trial["learning_rate"] < 1 for trial in by_rank(engine, study)[:3])

    figure = drawn(engine, study, **_shown(finding))
    marks = traces(figure)
    crosses = marks["infeasible"]
    assert (crosses["marker"]["symbol"], crosses["yaxis"]) == ("x-thin", "y2"), "at the top edge"
    lost = study.counts["infeasible"]
    assert len(numbers(crosses, "x")) > lost > 0, "and what finished no better than a guess beside them"
    assert figure["layout"]["yaxis"]["range"][1] < START_ERROR / 2, "which do not flatten the rest"
    assert any("clipped" in note for note in figure["layout"]["meta"]["notes"])


def test_figure_2_a_best_for_every_part_of_the_range(engine: Engine) -> None:
    study = rebuilt.weight_decays().study(engine)
    table = _isolation(engine, study, "weight_decay")
    edges = np.geomspace(1e-6, 1e-2, len(table["best"]) + 1)
    reported = by_rank(engine, study)
    for best, low, high in zip(table["best"], edges[:-1], edges[1:], strict=True):
        assert best == min(trial["error"] for trial in reported if low <= trial["weight_decay"] < high)
    middle = int(np.argmin(table["best"]))
    assert edges[middle] <= 1e-4 * 1.001 <= edges[middle + 2], "the generated optimum"
    assert np.all(np.diff(table["best"][: middle + 1]) < 0)
    assert np.all(np.diff(table["best"][middle + 1 :]) > 0)
    assert not any(table["wins"]), "neighbours are as good but for luck"
    assert found(engine, study, "per-value sampling", "weight_decay")["verdict"] == "pass"


@pytest.mark.parametrize(("gain", "winner"), [(0.01, ["gelu"]), (0.0, [])])
def test_figure_2_a_winner_only_where_the_intervals_say_so(
    engine: Engine, gain: float, winner: list[str]
) -> None:
    study = rebuilt.activations(gain).study(engine)
    table = _isolation(engine, study, "activation")
    for value, best in zip(table["value"], table["best"], strict=True):
        assert best == min(t["error"] for t in by_rank(engine, study) if t["activation"] == value)
    rows = list(zip(table["value"], table["low"], table["high"], table["wins"], strict=True))
    assert [value for value, _, _, wins in rows if wins] == winner
    apart = [
        value for value, _, high, _ in rows if all(high < low for other, low, *_ in rows if other != value)
    ]
    assert apart == winner
    (trace,) = drawn(engine, study, "isolation", parameter="activation")["data"]
    assert trace["marker"]["symbol"].count("star") == len(winner)


def test_figure_3_more_trials_bring_better_and_less_luck(engine: Engine) -> None:
    study = rebuilt.best_of(100).study(engine)
    table = figures.table(engine, study_id=study.id, kind="best-of-k", options={})
    columns = {name: np.array(values, dtype=float) for name, values in table.items()}
    assert columns["trials"][0] == 6
    at_20 = int(np.abs(columns["trials"] - 20).argmin())
    spread = columns["quantile_0.75"] - columns["quantile_0.25"]
    assert spread[0] > 1.5 * spread[at_20], "the playbook: note how large it is at 6 against 20"
    assert np.all(np.diff(columns["quantile_0.5"]) <= 0)
    luck = columns["quantile_0.95"][at_20] - columns["quantile_0.05"][at_20]
    assert luck > 2 * RETRAIN_DEVIATION, "at 20 still more than retraining's ±0.1 %"
    boxes = traces(drawn(engine, study, "best-of-k"))["best of k trials"]
    assert numbers(boxes, "median") == pytest.approx(columns["quantile_0.5"])

    finding = found(engine, study, "sampling")
    assert finding["verdict"] == "pass"
    assert quoted(finding)
    assert finding["evidence"]["retrain_deviation"] == pytest.approx(RETRAIN_DEVIATION, rel=0.5)


def test_figure_3_twenty_trials_are_partly_luck(engine: Engine) -> None:
    study = rebuilt.best_of(20).study(engine)
    finding = found(engine, study, "sampling")
    assert finding["verdict"] == "warn"
    assert quoted(finding)
    assert finding["sentence"].startswith("Only 1 of 28 trials lies ")
    assert "partly luck" in finding["sentence"]
    (wanted,) = proposed(finding)
    assert isinstance(wanted, Trials)
    assert wanted.trials > 50


def test_figure_7_the_best_rate_is_at_the_edge_of_stability(engine: Engine) -> None:
    study = rebuilt.unstable().study(engine)
    finding = found(engine, study, "instability", "learning_rate")
    best = finding["evidence"]["best"]
    assert finding["verdict"] == "warn"
    assert quoted(finding)
    assert best == by_rank(engine, study)[0]["learning_rate"] <= UNSTABLE_ABOVE
    assert best < finding["evidence"]["infeasible_above"] < 2 * best
    figure = drawn(engine, study, **_shown(finding))
    assert min(numbers(traces(figure)["infeasible"], "x")) > UNSTABLE_ABOVE >= best
    columns = read(engine, study).columns
    assert columns.infeasible.any(), "some end in NaN"
    assert columns.divergent(study.objective).any(), "some in uncharacteristically high values"

    proposal = proposed(finding)
    (draw,) = [change for change in proposal if isinstance(change, Draw)]
    configurations = draw.options["configurations"]
    assert isinstance(configurations, list)
    rates = [best, 5 * best, 10 * best]
    assert [each["learning_rate"] for each in configurations] == pytest.approx(rates)

    check = rebuilt.double_check(engine, study, proposal)
    assert check.parents == (study.id,)
    seen = found(engine, check, "instability", "learning_rate")
    assert seen["verdict"] == "warn"
    assert quoted(seen)
    assert "2 of 3 training curves fall, then jump and stay up" in seen["sentence"]
    assert seen["evidence"]["jump_step"] == pytest.approx(10_000, abs=JUMP_WITHIN)
    assert seen["figure"]["kind"] == "curves"
    assert seen["proposal"] is None, "it has been double-checked"


def _shown(finding: dict[str, Any]) -> dict[str, Any]:
    """The kind and the options of the figure that a finding shows."""
    return {"kind": finding["figure"]["kind"], **finding["figure"]["options"]}


def _isolation(engine: Engine, study: Study, parameter: str) -> dict[str, Any]:
    options = {"parameter": parameter}
    return dict(figures.table(engine, study_id=study.id, kind="isolation", options=options))
