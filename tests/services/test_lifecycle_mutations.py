"""The negative controls: with any one invariant taken away, the same machine must notice.

A mutation replaces one function of the product for the length of a test; no switch for it exists there.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.errors import FlakyFailure
from hypothesis.stateful import get_state_machine_test
from sqlalchemy import ColumnElement, Connection, Engine, literal

from tests.services.lifecycle_machine import LifecycleMachine
from tests.services.mutants import COLLISIONS, NEWEST_NUMBER_PLUS_ONE
from tunebook_server.domain import lifecycle
from tunebook_server.domain.errors import Fenced
from tunebook_server.domain.lifecycle import Ending, Swept
from tunebook_server.domain.trial import Trial
from tunebook_server.services import leases
from tunebook_server.services import metrics as metric_services
from tunebook_server.services import trials as trial_services
from tunebook_server.storage import access, attempts, audit, checkpoints, curves, studies, summaries, trials
from tunebook_server.storage.access import KnownToken

EXAMPLES_MOST = 2_000
ROUNDS = 50
_claim, _end, _find_token = trials.claim, lifecycle.end, access.find_token
_stamp_hints, _sweep = trials.stamp_hints, leases.sweep


@dataclass(frozen=True)
class Mutation:
    """`places`: an object, its attribute, and the mutant that stands there."""

    invariant: str
    what: str
    places: tuple[tuple[object, str, object], ...]

    def __str__(self) -> str:
        return f"{self.invariant}-{self.what.replace(' ', '-')}"


def _lease_by_own_clock(lease_seconds: float) -> ColumnElement[Any]:
    return literal(datetime.now(UTC) + timedelta(seconds=lease_seconds))


def _claim_at_same_epoch(
    connection: Connection, holders: Mapping[int, str | None], **arguments: Any
) -> list[Trial]:
    before = trials.many(connection, list(holders))
    taken = _claim(connection, holders, **arguments)
    epochs = [(trial, before[trial.id].epoch) for trial in taken]
    return [
        trials.change(connection, trial.id, {"epoch": epoch}) if epoch else trial for trial, epoch in epochs
    ]


def _nothing(*_arguments: object, **_options: object) -> None:
    return None


def _no(*_arguments: object) -> bool:
    return False


def _fence_by_epoch_alone(trial: Trial, epoch: int) -> None:
    if trial.epoch != epoch:
        raise Fenced("another attempt")


def _everything_visible(query: str) -> str:
    """The statement without the subquery that says where later attempts cut a curve."""
    cut = r"\(SELECT min\(coalesce\(a\.resumed_from_step.*?a\.epoch > c\.epoch\)"
    mutant, replaced = re.subn(cut, "NULL::bigint", query, flags=re.DOTALL)
    assert replaced == 1
    return mutant


def _sweep_without_hints(engine: Engine) -> Swept:
    return replace(_sweep(engine), hints=[])


def _hint_once(connection: Connection, **arguments: Any) -> list[int]:
    return _stamp_hints(connection, **{**arguments, "again_seconds": 1e9})


def _any_generation(connection: Connection, *, token_hash: bytes) -> KnownToken | None:
    known = _find_token(connection, token_hash=token_hash)
    return None if known is None else replace(known, current=True)


def _always_charged(trial: Trial, *arguments: Any, **options: Any) -> Ending:
    return replace(_end(trial, *arguments, **options), charged=True)


MUTATIONS = (
    Mutation("I1", "lease by the API's clock", ((trials, "lease", _lease_by_own_clock),)),
    Mutation(
        "I2",
        "numbers by max plus one",
        ((studies, "_GET_LOCKED", NEWEST_NUMBER_PLUS_ONE),),
    ),
    Mutation("I3", "claim at the same epoch", ((trials, "claim", _claim_at_same_epoch),)),
    Mutation("I4", "writes without a fence", ((lifecycle, "fence", _nothing),)),
    Mutation("I5", "batches without their hash", ((metric_services, "_check_same", _nothing),)),
    Mutation("I6", "finish that forgets", ((trial_services, "_ended_before", _no),)),
    Mutation("I6", "terminal state overwritten", ((lifecycle, "fence", _fence_by_epoch_alone),)),
    Mutation(
        "I7",
        "older epochs not superseded",
        (
            (summaries, "VISIBLE", _everything_visible(summaries.VISIBLE)),
            (curves, "ROWS", _everything_visible(curves.ROWS)),
        ),
    ),
    Mutation(
        "I8",
        "one folder for all epochs",
        ((checkpoints, "folder_owner", _nothing), (checkpoints, "own_folder", _nothing)),
    ),
    Mutation("I9", "loss without an audit row", ((audit, "write", _nothing),)),
    Mutation("I9", "sweep without hints", ((leases, "sweep", _sweep_without_hints),)),
    Mutation("I10", "hints sent once", ((trials, "stamp_hints", _hint_once),)),
    Mutation("I11", "dropped without a count", ((attempts, "drop", _nothing),)),
    Mutation("I12", "generation ignored", ((access, "find_token", _any_generation),)),
    Mutation("I13", "drain charges an attempt", ((lifecycle, "end", _always_charged),)),
)

# What the machine says, what a constraint of the database says, and a race that Hypothesis replays to another
# end. Any other error would be a defect of the mutant itself.
NOTICED = (AssertionError, *COLLISIONS, FlakyFailure)


def test_every_invariant_is_mutated() -> None:
    assert {mutation.invariant for mutation in MUTATIONS} == {f"I{number}" for number in range(1, 14)}


@pytest.mark.usefixtures("lifecycle_settings")
@pytest.mark.parametrize("mutation", MUTATIONS, ids=str)
def test_machine_notices(mutation: Mutation, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    lives = []

    class Mutated(LifecycleMachine):
        def __init__(self) -> None:
            lives.append(1)
            super().__init__()

    Mutated.engine = engine
    for target, name, mutant in mutation.places:
        monkeypatch.setattr(target, name, mutant)
    with pytest.raises(NOTICED) as noticed:
        _live_through_all(Mutated)
    print(f"{mutation}: noticed within {len(lives)} lives: {str(noticed.value).splitlines()[0]}")


def _live_through_all(machine: type[LifecycleMachine]) -> None:
    """Up to 2,000 lives, the same on every run.

    In short rounds: Hypothesis spends a tenth of a round, though at most fifty lives, on very small examples.
    """
    limits = settings(
        max_examples=EXAMPLES_MOST // ROUNDS,
        stateful_step_count=50,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    for round_ in range(ROUNDS):
        seed(round_)(get_state_machine_test(machine, settings=limits))()
