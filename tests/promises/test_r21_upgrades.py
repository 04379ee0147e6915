"""R21: a database of each earlier schema is upgraded while the writers of that schema go on."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import Engine

from tests.promises.conftest import Figures, Size
from tunebook_server.storage.migrate import migrate, migrations_folder

pytestmark = pytest.mark.quiet

LONGEST_LOCK_SECONDS = 2.0
EARLIER = sorted(
    script.revision
    for script in ScriptDirectory(str(migrations_folder())).walk_revisions()
    if script.nextrev  # not the newest
)

# What every schema since the first has: a study with a trial that runs, and chunks of 1,000 points.
FILL = """
INSERT INTO projects (name) VALUES ('old');
INSERT INTO studies
    (project_id, name, metric, direction, evaluation, sampler, seed, budget, parallel, created_by)
    SELECT id, 'old', 'loss', 'minimize', 'best', 'halton', 1, 100, 4, 'user:old' FROM projects;
INSERT INTO workers (name) VALUES ('old');
INSERT INTO trials
    (study_id, number, space_version, state, epoch, parameters, seed, lease_expires_at, attempts)
    SELECT studies.id, number, 1, 'running', 1, '{"rate": 0.5}', number, now() + interval '1 hour', 1
      FROM studies, generate_series(0, 9) AS number;
INSERT INTO attempts (trial_id, epoch, started_at) SELECT id, 1, now() FROM trials;
INSERT INTO metrics (study_id, name) SELECT id, 'loss' FROM studies;
INSERT INTO curves (trial_id, metric_id, epoch, points, first_step, last_step, last_value)
    SELECT trials.id, metrics.id, 1, 1000, 0, 999, 0.5 FROM trials, metrics;
INSERT INTO metric_chunks (trial_id, metric_id, epoch, level, sequence, last_sequence, points, first_step,
                           last_step, steps, series)
    SELECT trials.id, metrics.id, 1, 0, n, n, 1000, n * 1000, n * 1000 + 999, '',
           decode(repeat('ab', 8000), 'hex')
      FROM trials, metrics, generate_series(1, %(chunks)s / 10) AS n;
"""
# As the server of the first schema writes a report and a heartbeat.
WRITE = """
WITH batch AS (INSERT INTO metric_batches (trial_id, epoch, sequence, content_hash, points)
               VALUES (%(trial)s, 1, %(sequence)s, '', 10)),
     beat AS (UPDATE trials SET lease_expires_at = now() + interval '1 hour', changed_at = now()
               WHERE id = %(trial)s AND epoch = 1)
UPDATE studies SET revision = revision + 1, changed_at = now()
"""
KEPT = """
SELECT (SELECT array_agg((id, number, state, epoch, parameters::text, seed) ORDER BY id) FROM trials)::text,
       (SELECT array_agg((trial_id, epoch, outcome, charged) ORDER BY trial_id) FROM attempts)::text,
       (SELECT array_agg(sha256(steps || series) ORDER BY trial_id, sequence) FROM metric_chunks)::text
"""


class Writer(threading.Thread):
    """Writes to one trial until told to stop; `longest_seconds` is what one write had to wait at most."""

    def __init__(self, database_url: str, trial: int) -> None:
        super().__init__()
        self.database_url, self.trial = database_url, trial
        self.acknowledged, self.longest_seconds = 0, 0.0
        self.ending = threading.Event()

    def run(self) -> None:
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            while not self.ending.is_set():
                began = time.monotonic()
                values = {"trial": self.trial, "sequence": self.acknowledged}
                connection.execute(WRITE.encode(), values, prepare=False)
                self.longest_seconds = max(self.longest_seconds, time.monotonic() - began)
                self.acknowledged += 1


@contextmanager
def writing(database_url: str, writers: int) -> Iterator[list[Writer]]:
    threads = [Writer(database_url, trial) for trial in range(1, writers + 1)]
    for thread in threads:
        thread.start()
    try:
        yield threads
    finally:
        for thread in threads:
            thread.ending.set()
        for thread in threads:
            thread.join()


def upgrades(engine: Engine, database_url: str, *, revision: str, points: int, writers: int) -> float:
    """The longest wait of a writer, in seconds; asserts that nothing is lost."""
    migrate(engine, "base")
    migrate(engine, revision)
    with psycopg.connect(database_url) as connection:
        connection.execute((FILL % {"chunks": points // 1000}).encode())
        before = connection.execute(KEPT.encode()).fetchone()
    with writing(database_url, writers) as threads:
        _until_each_wrote(threads)
        migrate(engine)
        _until_each_wrote(threads)
    with psycopg.connect(database_url) as connection:
        assert connection.execute(KEPT.encode()).fetchone() == before
        counted = connection.execute("SELECT trial_id, count(*) FROM metric_batches GROUP BY 1").fetchall()
    assert dict(counted) == {thread.trial: thread.acknowledged for thread in threads}
    return max(thread.longest_seconds for thread in threads)


def _until_each_wrote(threads: list[Writer], writes: int = 20) -> None:
    goals = [thread.acknowledged + writes for thread in threads]
    while any(thread.acknowledged < goal for thread, goal in zip(threads, goals, strict=True)):
        assert all(thread.is_alive() for thread in threads), "a writer of the old schema failed"
        time.sleep(0.01)


def test_writers_of_an_earlier_schema_go_on_and_lose_nothing(
    engine: Engine, database_url: str, size: Size, figures: Figures
) -> None:
    points, writers = size(p=(100_000, 3), n=(10_000_000, 8))
    longest = {
        revision: upgrades(engine, database_url, revision=revision, points=points, writers=writers)
        for revision in EARLIER
    }
    assert max(longest.values()) < LONGEST_LOCK_SECONDS, longest
    figures(
        schemas=len(EARLIER),
        points_each=points,
        writers=writers,
        lost=0,
        longest_lock_s=max(longest.values()),
    )


def test_a_lock_that_is_held_longer_is_seen(engine: Engine, database_url: str, figures: Figures) -> None:
    """The control: a migration that takes the table for itself and takes its time."""
    upgrades(engine, database_url, revision="0001", points=1000, writers=1)
    with writing(database_url, 1) as threads:
        threads[0].acknowledged = 10**6  # its numbers of before are taken
        _until_each_wrote(threads)
        with psycopg.connect(database_url) as connection:
            connection.execute("LOCK TABLE trials IN ACCESS EXCLUSIVE MODE")
            connection.execute("SELECT pg_sleep(2.2)")
    longest = threads[0].longest_seconds
    assert longest > LONGEST_LOCK_SECONDS
    figures(control=f"a lock of 2.2 s: caught, a writer waited {longest:.1f} s")
