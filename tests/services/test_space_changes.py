"""Spaces that are widened and narrowed while their study runs."""

from copy import deepcopy
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine

from tests.services.making import ACTOR, SPACE, make_study
from tunebook_server.domain.errors import Invalid
from tunebook_server.domain.study import Study
from tunebook_server.domain.trial import Trial
from tunebook_server.services import figures, metrics, studies, trials


def changed(**ranges: dict[str, object]) -> list[dict[str, Any]]:
    """The space of all tests, with these fields of these hyperparameters."""
    document = deepcopy(SPACE.document())
    for entry in document:
        entry.update(ranges.get(str(entry["name"]), {}))
    return document


def edit(engine: Engine, study: Study, space: list[dict[str, Any]]) -> Study:
    return studies.edit(engine, study_id=study.id, changes={"space": space}, actor=ACTOR)


def train(engine: Engine, study: Study, client: str) -> Trial:
    (claim,) = trials.ask(engine, study_id=study.id, client_id=client, actor=ACTOR)
    rate = float(claim.trial.parameters["learning_rate"])
    points = (np.array([1]), np.array([abs(np.log10(rate) + 2)]))
    metrics.report(
        engine,
        trial_id=claim.trial.id,
        epoch=1,
        sequence=0,
        series={"valid/error": points},
        content_hash=b"1",
    )
    return trials.finish(engine, trial_id=claim.trial.id, epoch=1, state="completed")


@pytest.mark.parametrize("sampler", ["halton", "bayesian", "tpe", "cma_es"])
def test_new_trials_are_drawn_from_the_new_ranges(engine: Engine, sampler: str) -> None:
    study = make_study(engine, launched=False, sampler=sampler, budget=60)
    before = [train(engine, study, f"before {place}") for place in range(14)]
    narrow = changed(learning_rate={"low": 1e-3, "high": 0.1}, optimizer={"choices": ["sgd", "adam", "lion"]})
    study = edit(engine, study, narrow)
    assert (study.space_version, study.space.document()) == (2, narrow)
    after = [train(engine, study, f"after {place}") for place in range(10)]
    assert all(1e-3 <= float(trial.parameters["learning_rate"]) <= 0.1 for trial in after)
    assert sampler != "halton" or any(trial.parameters["optimizer"] == "lion" for trial in after)
    assert {trial.space_version for trial in before} == {1}
    assert {trial.space_version for trial in after} == {2}
    kept = trials.many(engine, trial_ids=[trial.id for trial in before])
    assert all(kept[trial.id].parameters == trial.parameters for trial in before)
    figures.figure(engine, study_id=study.id, kind="axis", options={"parameter": "learning_rate"})


def test_a_figure_follows_the_new_edges(engine: Engine) -> None:
    study = make_study(engine, launched=False)
    train(engine, study, "one")
    asked = {"study_id": study.id, "kind": "axis", "options": {"parameter": "learning_rate"}}
    first = figures.prepare(engine, **asked)  # type: ignore[arg-type]
    edit(engine, study, changed(learning_rate={"high": 10.0}))
    second = figures.prepare(engine, **asked)  # type: ignore[arg-type]
    assert first.version != second.version


@pytest.mark.parametrize(
    ("space", "field"),
    [
        (changed()[:-1], "space"),
        ([*changed(), {"name": "more", "type": "boolean"}], "space"),
        (changed(learning_rate={"type": "integer", "low": 1, "high": 3, "scale": "linear"}), "space.1.type"),
        (changed(learning_rate={"role": "scientific"}), "space.1.role"),
        (changed(batch_size={"value": 128}), "space.3.value"),
        (changed(learning_rate={"low": 2.0, "high": 1.0}), "space.1.low"),
    ],
)
def test_other_hyperparameters_need_another_study(
    engine: Engine, space: list[dict[str, Any]], field: str
) -> None:
    study = make_study(engine, launched=False)
    with pytest.raises(Invalid) as caught:
        edit(engine, study, space)
    assert caught.value.faults[0].field == field
    assert studies.get(engine, study_id=study.id).space_version == 1


def test_the_same_space_is_no_new_version(engine: Engine) -> None:
    study = make_study(engine, launched=False)
    assert edit(engine, study, changed()).space_version == 1
