"""Studies whose sampler learns: nothing twice, and quasi-random where no model is to be had in time."""

import json
import math
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from sqlalchemy import Engine

from tests.services.making import ACTOR, SPACE, make_study, make_worker
from tunebook_server.domain.errors import Invalid
from tunebook_server.domain.lifecycle import Claim
from tunebook_server.domain.objective import Objective
from tunebook_server.domain.samplers import gaussian_process as gp
from tunebook_server.domain.samplers import sampler
from tunebook_server.domain.study import StudyDesign
from tunebook_server.domain.trial import Configuration
from tunebook_server.services import metrics, sampling, studies, suggesting, trials
from tunebook_server.storage.engine import connect

CLIENTS = 8
BEST_RATE = 1e-2


def loss(configuration: Configuration) -> float:
    """Least for adam at a learning rate of 0.01."""
    far = abs(math.log10(float(configuration["learning_rate"]) / BEST_RATE))
    return far + (configuration["optimizer"] == "sgd")


def end(engine: Engine, claim: Claim) -> None:
    trial = claim.trial
    points = (np.array([1]), np.array([loss(trial.parameters)]))
    metrics.report(
        engine, trial_id=trial.id, epoch=1, sequence=0, series={"valid/error": points}, content_hash=b"1"
    )
    trials.finish(engine, trial_id=trial.id, epoch=1, state="completed")


def ask(engine: Engine, study_id: int, client: str) -> Claim:
    (claim,) = trials.ask(engine, study_id=study_id, client_id=client, actor=ACTOR)
    return claim


def text(configuration: Configuration) -> str:
    return json.dumps(configuration, sort_keys=True)


@pytest.mark.parametrize("name", ["bayesian", "tpe"])
def test_a_loop_is_led_to_the_best(engine: Engine, name: str) -> None:
    study = make_study(engine, launched=False, sampler=name, budget=40)
    found = []
    for _ in range(40):
        claim = ask(engine, study.id, "loop")
        found.append(claim.trial)
        end(engine, claim)
    assert [trial.sample_index for trial in found] == list(range(40))
    assert len({text(trial.parameters) for trial in found}) == 40
    blind = sampler("halton", {}).suggest(SPACE, seed=study.seed, index=0, count=40)
    assert min(loss(trial.parameters) for trial in found) < min(map(loss, blind))


@pytest.mark.parametrize("name", ["bayesian", "tpe"])
def test_clients_that_ask_at_once_get_different_points(engine: Engine, name: str) -> None:
    study = make_study(engine, launched=False, sampler=name, budget=6 * CLIENTS)
    found = []
    with ThreadPoolExecutor(CLIENTS) as pool:
        for turn in range(4):
            names = [f"client {turn} {client}" for client in range(CLIENTS)]
            claims = list(pool.map(partial(ask, engine, study.id), names))
            found += [claim.trial for claim in claims]
            list(pool.map(partial(end, engine), claims))
    assert sorted(trial.sample_index or 0 for trial in found) == list(range(4 * CLIENTS))
    assert len({text(trial.parameters) for trial in found}) == len(found)


def test_a_new_process_suggests_the_same(engine: Engine, database_url: str) -> None:
    study = make_study(engine, launched=False, sampler="bayesian", budget=40)
    for _ in range(20):
        end(engine, ask(engine, study.id, "loop"))
    ask(engine, study.id, "pending")
    here = suggesting.suggest(engine, study.id, 3)
    other = connect(database_url)
    there = suggesting.suggest(other, study.id, 3)
    other.dispose()
    assert here == there
    assert isinstance(here, suggesting.Suggestions)
    assert (here.index, len(here.configurations)) == (21, 3)


def test_a_model_that_is_late_is_not_waited_for(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    study = make_study(engine, launched=False, sampler="bayesian", budget=40)
    for _ in range(12):
        end(engine, ask(engine, study.id, "loop"))
    monkeypatch.setattr(suggesting, "TURN_SECONDS", 0.01)
    with suggesting.turn_of(study.id):
        claim = ask(engine, study.id, "hurried")
    assert claim.trial.drawn_by == "halton"
    assert [claim.trial.parameters] == sampler("halton", {}).suggest(
        SPACE, seed=study.seed, index=12, count=1
    )
    assert "quasi-random" in caplog.text
    patient = ask(engine, study.id, "patient").trial
    assert patient.parameters != claim.trial.parameters
    assert patient.drawn_by == "bayesian"


def test_a_slow_model_keeps_nobody_waiting(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It keeps its turn, and whoever comes meanwhile takes a quasi-random point, too."""
    study = make_study(engine, launched=False, sampler="bayesian", budget=40)
    for _ in range(12):
        end(engine, ask(engine, study.id, "loop"))
    go_on, condition = threading.Event(), gp.condition

    def slow(*arguments: object, **options: object) -> gp.Posterior:
        assert go_on.wait(60)
        return condition(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(gp, "condition", slow)
    monkeypatch.setattr(suggesting, "MODEL_SECONDS", 0.05)
    monkeypatch.setattr(suggesting, "TURN_SECONDS", 0.05)
    hurried = [ask(engine, study.id, f"client {place}").trial for place in range(3)]
    assert {trial.drawn_by for trial in hurried} == {"halton"}
    assert len({text(trial.parameters) for trial in hurried}) == 3
    go_on.set()
    monkeypatch.setattr(suggesting, "MODEL_SECONDS", 60)
    monkeypatch.setattr(suggesting, "TURN_SECONDS", 60)
    assert ask(engine, study.id, "patient").trial.drawn_by == "bayesian"
    assert caplog.text.count("no model in time") == 3


def test_a_model_that_fails_stops_no_study(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    study = make_study(engine, launched=False, sampler="bayesian", budget=40)
    for _ in range(12):
        end(engine, ask(engine, study.id, "loop"))

    def singular(*_: object, **__: object) -> gp.Posterior:
        raise np.linalg.LinAlgError("the covariance is not positive definite")

    monkeypatch.setattr(gp, "condition", singular)
    claim = ask(engine, study.id, "loop")
    assert [claim.trial.parameters] == sampler("halton", {}).suggest(
        SPACE, seed=study.seed, index=12, count=1
    )
    assert "a model failed" in caplog.text


def test_a_study_that_follows_learns_from_the_earlier_one(engine: Engine) -> None:
    earlier = make_study(engine, launched=False, sampler="halton", budget=40)
    for _ in range(40):
        end(engine, ask(engine, earlier.id, "loop"))
    design = StudyDesign(
        "later",
        "",
        Objective("valid/error"),
        SPACE,
        budget=10,
        sampler="bayesian",
        sampler_options={"warm_start": [earlier.id]},
    )
    later = studies.create(engine, project_id=earlier.project_id, design=design, actor=ACTOR)
    found = [ask(engine, later.id, f"loop {place}").trial for place in range(3)]
    assert {trial.drawn_by for trial in found} == {"bayesian"}
    assert min(loss(trial.parameters) for trial in found) < 0.5
    for wrong in ({"warm_start": [10**6]}, {"warm_start": [make_study(engine).id]}):
        with pytest.raises(Invalid) as caught:
            studies.create(
                engine,
                project_id=earlier.project_id,
                design=replace(design, sampler_options=wrong),
                actor=ACTOR,
            )
        assert caught.value.field == "sampler.options.warm_start"


def test_workers_are_given_as_many_as_they_run(engine: Engine) -> None:
    """Each result makes the next suggestion better: none is drawn ahead."""
    study = make_study(engine, sampler="bayesian", parallel=3, budget=30)
    assert len(sampling.fill(engine, study_id=study.id)) == 3
    assert sampling.fill(engine, study_id=study.id) == []
    worker = make_worker(engine)
    for _ in range(12):
        queued = trials.page(engine, study_id=study.id, sort="number").items
        trial_id = next(row.trial.id for row in queued if row.trial.state == "queued")
        end(engine, trials.claim(engine, trial_id=trial_id, worker_id=worker))
        assert len(sampling.fill(engine, study_id=study.id)) == 1
    assert studies.get(engine, study_id=study.id).counts["queued"] == 3


def test_a_batch_is_suggested_at_once(engine: Engine) -> None:
    study = make_study(engine, launched=False, sampler="tpe", budget=60)
    for _ in range(12):
        end(engine, ask(engine, study.id, "loop"))
    claims = trials.ask(engine, study_id=study.id, client_id="many", count=20, actor=ACTOR)
    assert len({text(claim.trial.parameters) for claim in claims}) == 20


@pytest.mark.parametrize("name", ["bayesian", "tpe", "cma_es"])
def test_a_preview_shows_what_no_result_decides_about(name: str) -> None:
    design = StudyDesign("study", "", Objective("loss"), SPACE, budget=40, sampler=name, seed=3)
    shown = studies.preview(design)
    assert shown == sampler("halton", {}).suggest(SPACE, seed=3, index=0, count=6)
