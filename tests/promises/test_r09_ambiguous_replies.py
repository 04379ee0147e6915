"""R9: a reply that is lost, late or doubled changes nothing: what is sent again is done once.

Person, loop and worker: the routes of the API that take an Idempotency-Key, and those whose own numbers make
a repetition harmless.
"""

import asyncio
import random
from collections import Counter

import httpx
import pytest
from sqlalchemy import Engine, text

from tests.api.site import DESIGN, HOST, Site, created
from tests.promises.conftest import Figures, Size
from tests.promises.intents import Actor, loop, person, worker
from tests.promises.network import Network
from tunebook_server.services import access
from tunebook_server.storage import idempotency

SHARE = 0.05
OPERATIONS = 48
"""Of a person, a loop and a worker together."""
AT_ONCE = 6

AUDITED = """
SELECT action, count(*) FROM audit
 WHERE action NOT IN ('worker.register', 'token.create') AND actor = 'user:owner' GROUP BY action
UNION ALL SELECT 'worker.register', count(*) FROM workers
UNION ALL SELECT 'worker.stopped', count(*) FROM workers WHERE stopped_at IS NOT NULL
UNION ALL SELECT 'start', count(*) FROM attempts WHERE started_at IS NOT NULL
UNION ALL SELECT 'finish', count(*) FROM attempts WHERE outcome = 'completed'
UNION ALL SELECT 'report', count(*) FROM metric_batches
UNION ALL SELECT 'checkpoint', count(*) FROM checkpoints
UNION ALL SELECT 'log', count(*) FROM log_chunks
"""
MADE = """
SELECT 'project.create', count(*) FROM projects
UNION ALL SELECT 'template.register', count(*) FROM job_templates
UNION ALL SELECT 'study.create', count(*) FROM studies UNION ALL SELECT 'round.create', count(*) FROM rounds
UNION ALL SELECT 'trial.enqueue', count(*) FROM trials WHERE client_id IS NULL
UNION ALL SELECT 'study.ask', count(*) FROM trials WHERE client_id IS NOT NULL
"""


def test_effects_are_intents(engine: Engine, size: Size, chance: random.Random, figures: Figures) -> None:
    site = Site(engine)
    try:
        trips = size(p=1_000, n=10_000) // OPERATIONS + 1
        intents, faults, replays = carry_out(site, chance, trips, checks_keys=True)
        assert deviations(engine, intents) == {}
        assert unlike_what_was_said(engine) == []
    finally:
        site.close()
    figures(
        operations=intents.total(),
        faults=sum(count for fate, count in faults.items() if fate),
        effects_beside_intents=0,
        replays_with_the_same_body=replays,
        other_bodies_refused=replays,
    )


def test_without_a_look_at_the_keys_there_would_be_more(
    engine: Engine, chance: random.Random, figures: Figures, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: no answer is kept, so what is sent again is done again."""
    monkeypatch.setattr(idempotency, "find", lambda *_, **__: None)
    monkeypatch.setattr(idempotency, "store", lambda *_, **__: None)
    site = Site(engine)
    try:
        intents, _, _ = carry_out(site, chance, 10, checks_keys=False)
        found = deviations(engine, intents)
    finally:
        site.close()
    assert found
    figures(control=f"keys not looked at: caught, {sum(found.values())} effects too many")


def carry_out(
    site: Site, chance: random.Random, trips: int, *, checks_keys: bool
) -> tuple[Counter[str], Counter[str], int]:
    """So many people, loops and workers, some at once; what they wanted, what befell it, and the replays."""
    owner = site.tokens["owner"] = access.create_owner_token(site.engine, name="owner")
    workers = [access.create_worker_token(site.engine, name=f"worker {trip}") for trip in range(trips)]
    project = created(site.post("/api/v1/projects", {"name": "loops"}))["id"]
    design = {**DESIGN, "budget": {"trials": 10_000, "parallel": 1_000}}
    study = created(site.post(f"/api/v1/projects/{project}/studies", design))["id"]
    intents, faults = Counter({"project.create": 1, "study.create": 1}), Counter[str]()

    async def all_of_them() -> int:
        network = Network(httpx.ASGITransport(site.app), chance, SHARE)
        line = httpx.ASGITransport(site.app)
        room, replays = asyncio.Semaphore(AT_ONCE), 0
        async with (
            httpx.AsyncClient(transport=network, base_url=HOST) as bad,
            httpx.AsyncClient(transport=line, base_url=HOST) as good,
        ):

            async def trip(number: int) -> None:
                nonlocal replays
                actors = [
                    Actor(bad, good, token, checks_keys) for token in (owner, owner, "", workers[number])
                ]
                async with room:
                    # Without keys somebody is refused what they have done already, and goes home.
                    await asyncio.gather(
                        person(actors[0], f"person {number}"),
                        loop(actors[1], actors[2], study, f"loop {number}"),
                        worker(actors[3], f"worker {number}"),
                        return_exceptions=not checks_keys,
                    )
                for actor in actors:
                    intents.update(actor.intents)
                    replays += actor.replays

            await asyncio.gather(*(trip(number) for number in range(trips)))
            await network.settle()
        faults.update(network.happened)
        return replays

    return intents, faults, site.run(all_of_them())


def deviations(engine: Engine, intents: Counter[str]) -> dict[str, int]:
    """By kind, how many effects there are beside the intents; what is right is left out."""
    with engine.connect() as connection:
        done = {row[0]: int(row[1]) for row in connection.execute(text(AUDITED))}
        made = {row[0]: int(row[1]) for row in connection.execute(text(MADE))}
    wrong = {name: abs(done.get(name, 0) - count) for name, count in intents.items() if "beat" not in name}
    wrong |= {f"{name} (rows)": abs(count - intents[name]) for name, count in made.items()}
    return {name: count for name, count in wrong.items() if count}


def unlike_what_was_said(engine: Engine) -> list[str]:
    """Texts that are not the last that was written, output out of order, points that are not as reported."""
    with engine.connect() as connection:
        rows = connection.execute(
            text(
                "SELECT p.note FROM projects p WHERE name LIKE 'person %' AND note <> name || ' 2'"
                " UNION ALL SELECT s.note FROM studies s WHERE name LIKE 'person %'"
                " AND (note <> name || ' 2' OR round_id IS NULL)"
                " UNION ALL SELECT conclusion FROM rounds WHERE conclusion <> name || ' 2'"
                " UNION ALL SELECT t.client_id FROM trials t WHERE client_id IS NOT NULL AND"
                " (SELECT string_agg(convert_from(content, 'utf8'), '' ORDER BY first_byte) FROM log_chunks l"
                "   WHERE l.trial_id = t.id) <>"
                " (SELECT string_agg(t.client_id || ' ' || n || chr(10), '' ORDER BY n)"
                "   FROM generate_series(0, 4) n)"
                " UNION ALL SELECT t.client_id FROM trials t JOIN curves c ON c.trial_id = t.id"
                " WHERE c.points <> 10 OR c.last_value <> 0.25 OR t.objective <> 0"
            )
        )
        return [str(row[0]) for row in rows]
