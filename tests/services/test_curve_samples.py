"""The noise of a long curve is that of its points, whatever their number."""

import numpy as np
import pytest
from sqlalchemy import Engine

from tests.services.making import ACTOR, make_study
from tunebook_server.domain.findings.leading import leading_runs
from tunebook_server.domain.findings.trends import last, noise
from tunebook_server.domain.objective import Objective
from tunebook_server.services import curve_samples, curves, metrics, results, studies, trials
from tunebook_server.services.compaction import compact

NOISE = 0.01
BATCH = 10_000


def trained(engine: Engine, points: int) -> int:
    """A study of one trial, whose curve of so many points has the same noise all along; its id."""
    study = make_study(engine, launched=False, objective=Objective("valid/loss"))
    (claim,) = trials.ask(engine, study_id=study.id, client_id="loop", actor=ACTOR)
    random = np.random.default_rng(points)
    steps = np.cumsum(random.integers(1, 20, points))  # uneven, as by time
    done = steps / steps[-1]
    values = 0.2 + np.exp(-8 * done) + NOISE * random.standard_normal(points)
    for sequence, place in enumerate(range(0, points, BATCH)):
        part = slice(place, place + BATCH)
        series = dict.fromkeys(("valid/loss", "train/loss", "lr"), (steps[part], values[part]))
        metrics.report(
            engine,
            trial_id=claim.trial.id,
            epoch=1,
            sequence=sequence,
            series=series,
            content_hash=str(sequence).encode(),
        )
    trials.finish(engine, trial_id=claim.trial.id, epoch=1, state="completed")
    return study.id


@pytest.mark.parametrize("points", [2_000, 20_000, 200_000])
def test_late_noise_is_that_of_the_points(engine: Engine, points: int) -> None:
    study_id = trained(engine, points)
    compact(engine)
    found = results.read(engine, studies.get(engine, study_id=study_id))
    (run,) = leading_runs(found)
    assert noise(run.curve) == pytest.approx(NOISE, rel=0.1)
    assert len(last(run.curve, 0.2)) >= 300
    assert len(run.curve) <= results.POINTS_OF_A_CURVE
    training = found.training_curve(run.id)
    assert training is not None
    assert noise(training) == pytest.approx(NOISE, rel=0.1)
    whole = found.objective_curve(run.id)
    assert whole is not None
    assert (run.curve.steps[0], run.curve.steps[-1]) == (whole.steps[0], whole.steps[-1])
    assert set(found.samples.get(run.id, {})) == ({"valid/loss", "train/loss"} if points > 2_000 else set())
    if points > 2_000:
        assert noise(whole) > 1.5 * NOISE, "thinning to extremes is what the sample is there to mend"


def test_a_sample_is_runs_of_neighbours_and_no_larger_for_more_points(engine: Engine) -> None:
    for points in (20_000, 200_000):
        study_id = trained(engine, points)
        compact(engine)
        ids = list(results.read(engine, studies.get(engine, study_id=study_id)).curves)
        (curve,) = curves.read(engine, trial_ids=ids, metrics=["valid/loss"], max_points=2_000)
        (sample,) = curve_samples.runs(engine, [curve])
        assert len(sample.steps) <= curve_samples.RUNS * curve_samples.RUN_POINTS
        gaps = np.diff(sample.steps)
        assert (gaps < 20).mean() > 0.95, "neighbours stay neighbours"
