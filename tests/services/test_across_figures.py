"""Figures of several studies: drawn at any size, and what makes them new."""

import json
from typing import Any

import pytest
from sqlalchemy import Engine

from tests.comparing import grow
from tests.scale import build
from tunebook_server.domain.errors import NotFound
from tunebook_server.services import figures, projects, trials
from tunebook_server.services.figures import KINDS

ACROSS = sorted(kind for kind, found in KINDS.items() if found.across and kind not in ("curves", "timeline"))
HOSTILE = "<img src=x onerror=alert(1)>%{y}"


def drawn(engine: Engine, kind: str, *studies: int, **options: str) -> dict[str, Any]:
    import plotly.graph_objects as go

    asked = {"studies": ",".join(map(str, studies)), "theme": "light", **options}
    content: dict[str, Any] = json.loads(figures.prepare_across(engine, kind=kind, options=asked).json())
    go.Figure(content)  # checked by Plotly's schema
    return content


def project(engine: Engine) -> int:
    return projects.create(engine, name="compared", actor="user:owner").id


@pytest.mark.parametrize("counts", [(0, 1), (0, 0), (48, 10_000), (1, 48)])
def test_each_kind_draws_studies_of_any_size(engine: Engine, counts: tuple[int, int]) -> None:
    studies = [build(engine, trials=count, points=10) for count in counts]
    assert ACROSS == ["best-of-k", "distribution", "isolation"]
    for kind in ACROSS:
        content = drawn(engine, kind, *studies)
        if max(counts) >= 48:
            assert content["data"], kind
            assert len(json.dumps(content)) < 60_000, kind
        table = figures.table_across(engine, kind=kind, options={"studies": ",".join(map(str, studies))})
        assert len({len(column) for column in table.values()}) == 1, kind


def test_a_poor_study_stays_in_sight_beside_a_good_one(engine: Engine) -> None:
    """Among the trials of both, each of its own would be an outlier."""
    good = build(engine, trials=48, points=10)
    poor = grow(engine, project(engine), "sgd", count=24)
    content = drawn(engine, "distribution", good, poor, y="linear")
    low, high = content["layout"]["xaxis"]["range"]
    assert low < 0.1
    assert high > 1.2
    assert not any("diverged" in note for note in content["layout"]["meta"]["notes"])


def test_hostile_names_are_text(engine: Engine) -> None:
    home = project(engine)
    for optimizer, name, by in ((HOSTILE, "plain", ""), ("adam", HOSTILE, "study")):
        pair = [grow(engine, home, "sgd"), grow(engine, home, optimizer, name=name)]
        for kind in ACROSS:
            assert "<img" not in json.dumps(drawn(engine, kind, *pair, by=by)), kind


def test_a_figure_is_new_exactly_when_a_trial_ends(engine: Engine) -> None:
    home = project(engine)
    pair = [grow(engine, home, "sgd"), grow(engine, home, "adam")]
    asked = {"studies": ",".join(map(str, pair))}

    def version() -> str:
        return figures.prepare_across(engine, kind="isolation", options=asked).version

    before = version()
    assert version() == before
    (row, *_) = trials.page(engine, study_id=pair[1], limit=1).items
    trials.edit_note(engine, trial_id=row.trial.id, note="nothing new", actor="user:owner")
    assert version() == before
    (claim,) = trials.ask(engine, study_id=pair[1], client_id="c", count=1, actor="user:owner")
    assert version() != before
    trials.finish(engine, trial_id=claim.trial.id, epoch=1, state="infeasible")
    assert version() != before


def test_kinds_of_one_study_say_so(engine: Engine) -> None:
    with pytest.raises(NotFound, match="history is a figure of one study") as refused:
        figures.prepare_across(engine, kind="history", options={"studies": "1,2"})
    assert "isolation" in refused.value.remedy
