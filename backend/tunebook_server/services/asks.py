"""How loops ask for trials: alone, or several of one study in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

from tunebook_server.domain.errors import Conflict
from tunebook_server.domain.lifecycle import Claim
from tunebook_server.domain.study import Study
from tunebook_server.domain.texts import name_text, whole_number
from tunebook_server.domain.trial import Trial
from tunebook_server.services import sampling
from tunebook_server.services.holding import (
    Held,
    claims_of,
    held_again,
    hold,
    lock_study,
    refuse_workers_key,
    take,
)
from tunebook_server.services.suggesting import Ready, Wanted, suggested
from tunebook_server.storage import audit, studies, trials
from tunebook_server.storage.begun import Holder
from tunebook_server.storage.engine import Connection, Engine, transaction

ASK_MOST = 256
TOGETHER_MOST, SHARED_MOST = 32, 8
"""Asks in one transaction, and trials of each."""
CLIENT_LONGEST = 190
"""Characters; the column has 200, and the second trial of a client is kept under "client#2"."""


@dataclass(frozen=True)
class Ask:
    client_id: str
    count: int
    host: str
    actor: str

    @classmethod
    def of(cls, *, client_id: str, count: int, host: str, actor: str) -> Self:
        """Raises Invalid for what cannot be asked."""
        name_text(client_id, field="client_id", limit=CLIENT_LONGEST)
        refuse_workers_key(client_id)
        whole_number(count, field="count", low=1, high=ASK_MOST)
        return cls(client_id, count, name_text(host, field="host") if host else "", actor)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """One for each trial that the client can hold."""
        return (self.client_id, *(f"{self.client_id}#{place}" for place in range(2, self.count + 1)))


def ask(
    engine: Engine, *, study_id: int, client_id: str, count: int = 1, host: str = "", actor: str
) -> list[Claim]:
    """`count` running trials for a loop of one's own, fewer at the end of the study.

    A client that asks again gets the trials that it holds already, with new tokens for the same epochs; then
    queued trials, lowest number first; then new ones from the sampler. The study's `parallel` binds workers
    alone: a loop knows what it can run.
    """
    asked = Ask.of(client_id=client_id, count=count, host=host, actor=actor)
    (found,) = ask_at_once(engine, study_id, [asked])
    return with_a_model(engine, study_id, asked) if isinstance(found, Wanted) else found


def ask_at_once(engine: Engine, study_id: int, asks: Sequence[Ask]) -> Sequence[list[Claim] | Wanted]:
    """As `ask` for each, in one transaction; no two are `apart`. Wanted: these then ask `with_a_model`."""
    try:
        return _together(engine, study_id, asks, None)
    except Wanted:  # each for itself: nobody waits for the model of many
        return [Wanted(each.count) for each in asks]


def with_a_model(engine: Engine, study_id: int, asked: Ask) -> list[Claim]:
    """An ask whose study has a sampler that learns, and that needs new trials."""
    return suggested(
        engine, study_id, asked.count, lambda ready: _together(engine, study_id, [asked], ready)[0]
    )


def apart(one: Ask, other: Ask) -> bool:
    """One that asks for many, and two of one client: the second gets what the first one holds."""
    return max(one.count, other.count) > SHARED_MOST or not set(one.names).isdisjoint(other.names)


def _together(engine: Engine, study_id: int, asks: Sequence[Ask], ready: Ready | None) -> list[list[Claim]]:
    """The claims of each. Raises Conflict where one of them can have none because the study is paused."""
    owners = {name: each for each in asks for name in each.names}
    with transaction(engine) as connection:
        trials.serialise_clients(connection, study_id, [each.client_id for each in asks])
        held = trials.held_by_client(connection, study_id, list(owners))
        free = [name for name in owners if name not in {trial.client_id for trial in held}]
        # Queued trials are locked before the study: trial, then study, everywhere.
        queued = trials.take_queued(connection, study_id, len(free))
        study = lock_study(connection, study_id)
        if study.state == "paused" and not all(any(_is_of(trial, each) for trial in held) for each in asks):
            raise Conflict("the study is paused", remedy="Resume it, or wait.")
        handed = [held_again(connection, trial) for trial in held]
        if study.state == "running" and free:
            holders = [Holder(name, owners[name].host) for name in free]
            begun = _begin(connection, study, queued, holders, ready)
            _note(connection, study_id, asks, begun)
            handed += begun
        claims = claims_of(connection, study, handed)
    return [[claim for claim in claims if _is_of(claim.trial, each)] for each in asks]


def _begin(
    connection: Connection,
    study: Study,
    queued: Sequence[int],
    holders: Sequence[Holder],
    ready: Ready | None,
) -> list[Held]:
    """The queued trials for the first of these loops, new ones for the rest."""
    waited, rest = holders[: len(queued)], holders[len(queued) :]
    begun: list[Held] = []
    if waited:
        clients = {trial_id: holder.client_id for trial_id, holder in zip(queued, waited, strict=True)}
        taken = take(connection, clients, started=True)
        begun = hold(connection, study, taken, hosts=[holder.host for holder in waited])
        studies.bump_best(connection, study.id)  # one that goes on from a checkpoint may be the best no more
    return begun + [Held(trial) for trial in sampling.begin(connection, study, rest, ready)]


def _is_of(trial: Trial, asked: Ask) -> bool:
    return trial.client_id in asked.names


def _note(connection: Connection, study_id: int, asks: Sequence[Ask], begun: Sequence[Held]) -> None:
    got = [(each, [held.trial.id for held in begun if _is_of(held.trial, each)]) for each in asks]
    done = [(each.actor, {"client": each.client_id, "trials": ids}) for each, ids in got if ids]
    audit.write_all(connection, done, action="study.ask", target=f"study:{study_id}")
