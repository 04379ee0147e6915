"""R22: a backup made while writers write restores to the same content, and nothing of before writes to it."""

import itertools
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.backups import (
    TUNEBOOK,
    command,
    environment,
    execute,
    fresh,
    manifest_of,
    measured,
    plainly_restored,
    points,
    rows,
)
from tests.live import Live, tunebook, until
from tests.promises.conftest import Figures, Size
from tunebook.api import Api
from tunebook.errors import ApiError, TunebookError
from tunebook_server.embedded.postgres import Postgres
from tunebook_server.services import restoring

pytestmark = pytest.mark.faults

TRAINS = """
import time, tunebook
trial = tunebook.current_trial()
for step in range(10**6):
    trial.report(step, {"loss": 1.0 / (step + 1)})
    time.sleep(0.05)
"""


TRIES = 100
"""Writes with each token of before the restore."""


@dataclass
class Writer:
    """A loop of its own: asks for a trial, and reports until it is told to stop."""

    api: Api
    study: int
    name: str
    acknowledged: int = 0
    claim: dict[str, Any] = field(default_factory=dict)
    thread: threading.Thread | None = None

    def ask(self) -> "Writer":
        body = {"client_id": self.name, "count": 1}
        (self.claim,) = self.api.post(f"/studies/{self.study}/trials:ask", body)["trials"]
        return self

    @property
    def path(self) -> str:
        return f"/trials/{self.claim['trial']['id']}"

    def write(self, stop: threading.Event) -> None:
        with closing(Api(self.api.url, self.claim["token"])) as api:
            for sequence in itertools.count():
                if stop.is_set():
                    return
                steps = list(range(sequence * 10, sequence * 10 + 10))
                series = {"loss": {"step": steps, "value": [1.0 / (step + 1) for step in steps]}}
                body = {"epoch": self.claim["epoch"], "sequence": sequence, "series": series}
                api.post(f"{self.path}:report", body)
                api.post(f"{self.path}:heartbeat", {"epoch": self.claim["epoch"]})
                self.acknowledged += len(steps)


@contextmanager
def writing(live: Live, study: int, count: int) -> Iterator[list[Writer]]:
    stop = threading.Event()
    writers = [Writer(live.api, study, f"writer-{number}").ask() for number in range(count)]
    for writer in writers:
        writer.thread = threading.Thread(target=writer.write, args=(stop,))
        writer.thread.start()
    try:
        yield writers
    finally:
        stop.set()
        for writer in writers:
            assert writer.thread is not None
            writer.thread.join()


def test_what_is_restored_is_what_was_backed_up_and_nothing_of_before_writes_to_it(
    postgres: Postgres, tmp_path: Path, size: Size, figures: Figures
) -> None:
    count, enough = size(p=(3, 300), n=(16, 5_000))
    file = tmp_path / "nightly.backup"
    with tunebook(postgres, tmp_path) as live, live.worker():
        trains = live.study(live.script(TRAINS))
        held = int(live.running(trains)["id"])
        loop = live.study(live.script(TRAINS), trials=1000, parallel=1)
        with writing(live, loop, count) as writers:
            until(lambda: all(writer.acknowledged >= enough for writer in writers), "points are there", 600)
            acknowledged = {writer.claim["trial"]["id"]: writer.acknowledged for writer in writers}
            said = command("backup", str(file), TUNEBOOK_DATABASE_URL=live.database_url)
            assert (said.returncode, said.stderr) == (0, "")
        # One more claim that the backup does not know.
        writers.append(Writer(live.api, loop, "late").ask())
        supervised = until(lambda: live.processes_of(held), "the worker's job runs")
        live.server.stop()

        with fresh(postgres) as restored:
            said = command("restore", str(file), TUNEBOOK_DATABASE_URL=restored)
            assert (said.returncode, said.stderr) == (0, "")
            kept = check_points(restored, acknowledged)
            check_requeued(restored, count + 1)
            with serving(live, restored):
                answers = [status for writer in writers for status in tried(live, writer, TRIES)]
                assert answers == [(409, "fenced")] * TRIES * len(writers)
                until(lambda: not any(p.is_running() for p in supervised), "the supervisor ended its job")
            assert points(restored, below_epoch=2) == kept, "no write of before came in"
        accepted = without_a_new_generation(postgres, file, live, writers[:-1])
    figures(
        points=sum(kept.values()),
        writers=count,
        content_hash="equal",
        writes_of_before_refused=f"{len(answers)} of {len(answers)}",
        control=f"generation kept: caught, {accepted} writes of before accepted",
    )


def without_a_new_generation(postgres: Postgres, file: Path, live: Live, writers: Sequence[Writer]) -> int:
    """The control: a copy with the content of the backup and its generation too, as one file would be.
    How many writes of before it takes."""
    with fresh(postgres) as left:
        plainly_restored(left, file)
        manifest = manifest_of(file)
        assert measured(left) == (manifest.content_sha256, manifest.counts)
        execute(left, "UPDATE server SET place = ''")
        with serving(live, left):
            answers = [status for writer in writers for status in tried(live, writer, 5)]
        assert (200, "") in answers
        assert measured(left) != (manifest.content_sha256, manifest.counts), "the hash sees a write"
    return answers.count((200, ""))


def tried(live: Live, writer: Writer, tries: int) -> Iterator[tuple[int, str]]:
    """Status and code of each of so many writes with the writer's token, of every kind in turn."""
    trial, epoch = writer.claim["trial"]["id"], writer.claim["epoch"]
    bodies: list[tuple[str, Callable[[int], Mapping[str, object]]]] = [
        ("heartbeat", lambda _: {}),
        ("report", lambda n: {"sequence": 10**6 + n, "series": {"loss": {"step": [n], "value": [0.0]}}}),
        ("checkpoint", lambda n: {"step": n, "uri": f"/late/{trial}/{n}", "metric": None}),
        ("log", lambda n: {"sequence": n, "content_base64": "bGF0ZQ=="}),
        ("finish", lambda _: {"state": "completed"}),
    ]
    with closing(Api(live.url, writer.claim["token"])) as api:
        for number in range(tries):
            verb, body = bodies[number % len(bodies)]
            try:
                api.post(f"/trials/{trial}:{verb}", {"epoch": epoch, **body(number)})
            except ApiError as error:
                yield error.status, error.code
            else:
                yield 200, ""


@contextmanager
def serving(live: Live, database_url: str) -> Iterator[None]:
    """The same address, on another database; no control worker, so that nothing but the server acts."""
    server = live.start("restored", "server", TUNEBOOK_DATABASE_URL=database_url)

    def answers() -> bool:
        assert server.popen.poll() is None, server.log.read_text()
        with suppress(TunebookError):
            live.api.get("/me")
            return True
        return False

    until(answers, "the restored database is served")
    try:
        yield
    finally:
        server.stop()
        live.processes.remove(server)


def check_points(database_url: str, acknowledged: Mapping[int, int]) -> dict[int, int]:
    """Nothing that was acknowledged before the backup began is missing; what is there, by trial."""
    kept = points(database_url)
    assert all(kept[trial] >= count for trial, count in acknowledged.items())
    return kept


def check_requeued(database_url: str, trials: int) -> None:
    """What ran is queued again, no attempt was charged, and all of it is in the audit."""
    states = "SELECT state, attempts, count(*) FROM trials WHERE epoch > 0 GROUP BY 1, 2"
    assert rows(database_url, states) == [("queued", 0, trials)]
    ended = "SELECT outcome, charged, reason, count(*) FROM attempts GROUP BY 1, 2, 3"
    assert rows(database_url, ended) == [("released", False, restoring.REASON, trials)]
    audited = "SELECT count(*) FROM audit WHERE action = 'trial.restored'"
    assert rows(database_url, audited) == [(trials,)]
    assert rows(database_url, "SELECT count(*) FROM sessions") == [(0,)]


@pytest.mark.parametrize("killed", [False, True], ids=["control: left alone", "kill -9"])
def test_a_restore_that_was_killed_changed_nothing_and_is_repeated(
    postgres: Postgres, tmp_path: Path, killed: bool
) -> None:
    file = tmp_path / "one.backup"
    with fresh(postgres, "template") as full:
        # Enough that the restore takes a while: it is killed between its first table and its last.
        execute(
            full,
            "INSERT INTO audit (actor, action, object) SELECT 'x', 'y', 'z' FROM generate_series(1, 300000)",
        )
        assert command("backup", str(file), TUNEBOOK_DATABASE_URL=full).returncode == 0
    with fresh(postgres, "template") as target:
        execute(target, "INSERT INTO projects (name) VALUES ('kept')")
        argv = [*TUNEBOOK, "restore", str(file), "--force"]
        with subprocess.Popen(argv, env=environment(TUNEBOOK_DATABASE_URL=target)) as restore:
            until(lambda: replaces(postgres, target), "it has dropped the old tables")
            if killed:
                restore.kill()
        assert restore.returncode == (-signal.SIGKILL if killed else 0)
        until(lambda: not replaces(postgres, target), "Postgres has ended its transaction")
        assert rows(target, "SELECT name FROM projects") == ([("kept",)] if killed else [])
        again = command("restore", str(file), "--force", TUNEBOOK_DATABASE_URL=target)
        assert (again.returncode, again.stderr) == (0, "")
        assert rows(target, "SELECT count(*) FROM audit WHERE actor = 'x'") == [(300_000,)]


def replaces(postgres: Postgres, database_url: str) -> bool:
    """Whether somebody holds the tables of this database for himself.

    Asked from another one: a restore refuses a database that is in use, if only by this question.
    """
    name = database_url.rpartition("@/")[2].partition("?")[0]
    held = f"""
        SELECT count(*) > 10 FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND locktype = 'relation'
           AND database = (SELECT oid FROM pg_database WHERE datname = '{name}')
    """
    return bool(rows(postgres.url("postgres"), held)[0][0])
