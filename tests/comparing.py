"""Studies to compare: one optimizer each, with ended trials, the last of them infeasible."""

import itertools
from typing import Any

import numpy as np
from sqlalchemy import Engine

from tunebook_server.domain.study import StudyDesign
from tunebook_server.services import metrics, studies, trials

ACTOR = "user:owner"
RATE = {"name": "learning_rate", "type": "float", "low": 1e-4, "high": 1.0, "scale": "log"}
_names = itertools.count()


def grow(
    engine: Engine, project_id: int, optimizer: str, *, better: float = 0.0, count: int = 12, **design: Any
) -> int:
    """The id of the study; its objectives lie between 1 - `better` and 0.12 above."""
    document = {
        "name": f"{optimizer} {next(_names)}",
        "objective": {"metric": "valid/error"},
        "budget": {"trials": 40, "parallel": 40},
        "space": [{"name": "optimizer", "type": "fixed", "value": optimizer}, RATE],
        **design,
    }
    parsed = StudyDesign.parse(document)
    study_id = studies.create(engine, project_id=project_id, design=parsed, actor=ACTOR).id
    asked = trials.ask(engine, study_id=study_id, client_id=f"c{study_id}", count=count, actor=ACTOR)
    for place, claim in enumerate(asked):
        value = 1.0 - better + 0.01 * (place * 7 % count)
        fence: dict[str, Any] = {"trial_id": claim.trial.id, "epoch": 1}
        _report(engine, fence, parsed.objective.metric, value)
        trials.finish(engine, **fence, state="infeasible" if place == count - 1 else "completed")
    return study_id


def _report(engine: Engine, fence: dict[str, Any], metric: str, value: float) -> None:
    steps = np.arange(1, 41)
    curve = value + np.exp(-steps / 8) - np.exp(-40 / 8)
    series = {metric: (steps, curve), metric.replace("valid", "train"): (steps, curve * 0.9)}
    metrics.report(engine, **fence, sequence=0, series=series, content_hash=b"grown")
