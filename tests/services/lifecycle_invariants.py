"""The thirteen invariants of a trial's life, checked on the rows of one study against the model."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, RowMapping

from tests.services.lifecycle_model import HELD, Model, ModelTrial
from tunebook_server.services import curves
from tunebook_server.settings import settings

LEASE_SLACK_SECONDS = 60.0
Rows = Sequence[RowMapping]

_TRIALS = """
SELECT id, number, state, epoch, attempts, poisoned, objective, lease_expires_at IS NOT NULL AS leased,
       extract(epoch FROM lease_expires_at - clock_timestamp())::float8 AS lease_left,
       cancel_requested_at IS NOT NULL AS cancelled, hinted_at > now() - interval '30 s' AS hinted
  FROM trials WHERE study_id = %s ORDER BY number
"""
_ATTEMPTS = """
SELECT a.* FROM attempts a JOIN trials t ON t.id = a.trial_id WHERE t.study_id = %s ORDER BY trial_id, epoch
"""
_CHECKPOINTS = """
SELECT c.* FROM checkpoints c JOIN trials t ON t.id = c.trial_id WHERE t.study_id = %s
"""
_STUDY = """
SELECT state, next_number, best_trial_id, revision, budget, max_attempts,
       (SELECT jsonb_object_agg(state, trials) FROM study_counts
         WHERE study_id = s.id AND trials <> 0) AS counts,
       (SELECT count(*) FROM audit WHERE action = 'trial.lost'
           AND object IN (SELECT 'trial:' || id FROM trials WHERE study_id = s.id)) AS lost
  FROM studies s WHERE id = %s
"""


@dataclass(frozen=True)
class Stored:
    trials: Rows
    attempts: Rows
    checkpoints: Rows
    study: RowMapping

    @classmethod
    def read(cls, connection: Connection, study_id: int) -> "Stored":
        trials, attempts, checkpoints, study = (
            connection.exec_driver_sql(query, (study_id,)).mappings().all()
            for query in (_TRIALS, _ATTEMPTS, _CHECKPOINTS, _STUDY)
        )
        return cls(trials, attempts, checkpoints, study[0])


def check(stored: Stored, model: Model) -> None:
    """Every invariant that rows can show.

    Those that answers show (I4, I5, I6, I9, I10, I12) are checked where the machine compares each answer with
    the model's.
    """
    assert {row["id"] for row in stored.trials} == set(model.trials), "I2: trials that nobody was told of"
    for row in stored.trials:
        _check_trial(row, model.trials[row["id"]])
    for row in stored.attempts:
        _check_attempt(row, model.trials[row["trial_id"]])
    _check_numbers(stored)
    _check_folders(stored)
    _check_study(stored, model)


def _check_trial(row: RowMapping, trial: ModelTrial) -> None:
    where = f"trial {row['number']}"
    assert (row["state"] in HELD) == row["leased"], f"I3: {where} is {row['state']}, leased: {row['leased']}"
    if row["leased"]:
        longest, left = settings().lease_seconds, row["lease_left"]
        fits = left <= 0 if trial.expired else longest - LEASE_SLACK_SECONDS < left <= longest
        assert fits, f"I1: {where} has {left} s of lease left by the database's clock"
    assert row["epoch"] == trial.epoch, f"I3: {where} is at epoch {row['epoch']}, not {trial.epoch}"
    assert row["state"] == trial.state, f"I4, I6: {where} is {row['state']}, not {trial.state}"
    assert row["cancelled"] == trial.cancelled, f"I6: {where}"
    assert row["attempts"] == trial.attempts, f"I13: {where} has used {row['attempts']}, not {trial.attempts}"
    assert row["poisoned"] == trial.poisoned, f"I9: {where}"
    assert row["objective"] == trial.objective, f"I7: {where}: {row['objective']}, not {trial.objective}"
    if row["state"] == "queued":
        assert bool(row["hinted"]) == trial.hinted, f"I10: {where}"


def _check_attempt(row: RowMapping, trial: ModelTrial) -> None:
    where = f"trial {trial.number}, attempt {row['epoch']}"
    assert row["outcome"] == trial.outcomes.get(row["epoch"]), f"I4: {where} ended as {row['outcome']}"
    assert (row["outcome"] is None) == (row["ended_at"] is None), f"I4: {where}"
    assert (row["outcome"] is None) == (trial.held and trial.epoch == row["epoch"]), f"I4: {where}"
    assert row["charged"] == (row["outcome"] != "released"), f"I13: {where} is charged: {row['charged']}"
    assert row["resumed_from_step"] == trial.resumed[row["epoch"]], f"I7: {where}"
    dropped = trial.dropped.get(row["epoch"], 0)
    assert row["dropped_points"] == dropped, f"I11: {where} counts {row['dropped_points']}, not {dropped}"


def _check_numbers(stored: Stored) -> None:
    numbers = [row["number"] for row in stored.trials]
    assert numbers == list(range(len(numbers))), f"I2: numbers {numbers}"
    assert stored.study["next_number"] == len(numbers), "I2: the counter is not behind the last number"
    assert len(numbers) <= stored.study["budget"], "I2: more trials than the budget"


def _check_folders(stored: Stored) -> None:
    owners: dict[tuple[int, str], set[int]] = {}
    for row in stored.checkpoints:
        owners.setdefault((row["trial_id"], row["uri"].rpartition("/")[0]), set()).add(row["epoch"])
    shared = {place: epochs for place, epochs in owners.items() if len(epochs) > 1}
    assert not shared, f"I8: attempts share folders: {shared}"


def _check_study(stored: Stored, model: Model) -> None:
    states = [row["state"] for row in stored.trials]
    counted = {state: states.count(state) for state in set(states)}
    assert (stored.study["counts"] or {}) == counted, f"counts {stored.study['counts']}, not {counted}"
    assert stored.study["lost"] == model.lost, f"I9: {stored.study['lost']} audit rows, {model.lost} losses"
    assert stored.study["state"] == model.state, f"the study is {stored.study['state']}, not {model.state}"
    assert stored.study["best_trial_id"] == model.best, "the best trial is not the best"


def check_curves(engine: Engine, trial: ModelTrial) -> None:
    """I5: every accepted point once. I7: what a later attempt overtook is out of the curve, and kept."""
    found = curves.read(engine, trial_ids=[trial.id], superseded=True)
    shown = [(c.steps, c.values) for c in found if not c.superseded]
    visible = {int(s): float(v) for steps, values in shown for s, v in zip(steps, values, strict=True)}
    assert _same(visible, trial.visible()), f"I5, I7: {visible}, not {trial.visible()}"
    kept = {
        (c.epoch, int(s)): float(v)
        for c in found
        if c.superseded
        for s, v in zip(c.steps, c.values, strict=True)
    }
    reported = {(at, step): value for at in trial.resumed for step, value in trial.reported(at).items()}
    overtaken = {place: value for place, value in reported.items() if place[1] not in trial.visible()}
    assert overtaken.keys() <= kept.keys(), f"I7: points were lost: {overtaken.keys() - kept.keys()}"


def _same(found: Mapping[int, float], wanted: Mapping[int, float]) -> bool:
    return found.keys() == wanted.keys() and all(
        value == wanted[step] or (math.isnan(value) and math.isnan(wanted[step]))
        for step, value in found.items()
    )
