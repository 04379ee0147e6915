"""`tunebook up`: Postgres, server, control worker and one worker in a process tree under one data folder."""

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tunebook_server.embedded.answers import LOOPBACK, answers
from tunebook_server.embedded.child import Backoff, Child, ended
from tunebook_server.embedded.errors import PostgresFailed, UpFailed
from tunebook_server.embedded.hold import Hold
from tunebook_server.embedded.kernel import Lifeline
from tunebook_server.embedded.parts import listen, parts, python
from tunebook_server.embedded.places import private_folder, write_private
from tunebook_server.embedded.postgres import DEATH_SIGNAL, Postgres, make_database
from tunebook_server.embedded.tokens import CLIENT_FILE, write_tokens
from tunebook_server.embedded.wakeups import Wakeups
from tunebook_server.services import access, restoring
from tunebook_server.storage.engine import connect
from tunebook_server.storage.migrate import migrate

START_TIMEOUT_SECONDS = 60.0
LOOK_SECONDS = 1.0
# All of it ends within 10 s of the signal: the worker drains first, while the server still answers it.
WORKER_STOPPED_SECONDS, SERVER_STOPPED_SECONDS, POSTGRES_STOPPED_SECONDS = 5.0, 7.0, 8.5
STUDY_STOP_SECONDS = 0.5


class Stopped(Exception):
    """Asked to stop before everything ran."""


@dataclass(frozen=True, slots=True)
class Options:
    data: Path
    port: int
    slots: int | None = None
    study: Path | None = None


def run(options: Options) -> int:
    """The exit status: 0 after Ctrl-C, SIGTERM or a study that ran; raises Held, UpFailed, PostgresFailed."""
    os.umask(0o077)
    folder = private_folder(options.data.absolute())
    hold = Hold(folder)
    hold.take()
    tree = Tree(folder, options, hold)
    try:
        tree.start()
        return tree.serve()
    except Stopped:
        return 0
    finally:
        tree.stop()


class Tree:
    def __init__(self, folder: Path, options: Options, hold: Hold) -> None:
        self.folder = folder
        self.options = options
        self.hold = hold
        self.listener = listen(options.port)
        self.address = f"http://{LOOPBACK}:{self.listener.getsockname()[1]}"
        self.wakeups = Wakeups()
        self.lifeline = Lifeline()
        self.postgres = Postgres(folder / "postgres")
        self._postgres_backoff = Backoff()
        self._postgres_started_at = 0.0
        self.children: dict[str, Child] = {}

    def start(self) -> None:
        say(f"Starting in {self.folder}")
        self._start_postgres()
        code = self._prepare()
        logs = private_folder(self.folder / "logs")
        listener, slots = self.listener.fileno(), self.options.slots
        for name, argv, environment in parts(self.folder, self.postgres.url(), self.address, listener, slots):
            self.children[name] = Child(
                name,
                argv,
                environment=environment,
                log=logs / f"{name}.log",
                lifeline=self.lifeline,
                say=say,
                inherited=[listener] if name == "server" else [],
            )
        self.children["server"].start()
        self._wait_for_server()
        self.children["control"].start()
        self.children["worker"].start()
        write_private(self.folder / "address", self.address)
        self.hold.note(self.address)
        say(f"Dashboard   {self.address}")
        say(f"Login code  {code}  (good once, for 15 minutes)")
        say(f"Or open     {self.address}/login#code={code}")
        say("Ctrl-C stops everything.")

    def serve(self) -> int:
        """Watches the tree until a signal says stop, or until `--run` is done where nobody looks on."""
        study = self._study() if self.options.study else None
        while not self.wakeups.stopping:
            self.wakeups.wait(LOOK_SECONDS)
            self._watch()
            if study is not None and study.process is not None and not study.running:
                status = abs(int(study.process.returncode))
                study.end(0)
                study = None
                if status != 0 or not sys.stdout.isatty():
                    return status
        if study is not None:
            study.ask_to_end()
            study.end(STUDY_STOP_SECONDS)
        return 0

    def stop(self) -> None:
        """In order: no new work, then no answers, then no database. A second Ctrl-C hurries."""
        (self.folder / "address").unlink(missing_ok=True)
        if self.children:
            say("Stopping.")
        begun = time.monotonic()
        self._end_children("worker", "control", end=begun + WORKER_STOPPED_SECONDS)
        self._end_children("server", end=begun + SERVER_STOPPED_SECONDS)
        self.postgres.stop(begun + POSTGRES_STOPPED_SECONDS - time.monotonic())
        self._release_postgres()
        self.lifeline.close()
        self.listener.close()
        self.hold.release()
        if self.children:
            say(f"Stopped after {time.monotonic() - begun:.1f} s.")

    def _end_children(self, *names: str, end: float) -> None:
        ending = [self.children[name] for name in names if name in self.children]
        patience = self.wakeups.stops_asked
        for child in ending:
            child.ask_to_end()
        while any(child.running for child in ending) and self.wakeups.stops_asked == patience:
            if time.monotonic() >= end:
                break
            self.wakeups.wait(max(end - time.monotonic(), 0.0))
        for child in ending:
            child.end(0)

    def _start_postgres(self) -> None:
        try:
            self.postgres.start(give_up=lambda: self.wakeups.stopping)
        except PostgresFailed:
            if self.wakeups.stopping:
                raise Stopped from None
            raise
        self._postgres_started_at = time.monotonic()
        assert self.postgres.process
        self.lifeline.guard(self.postgres.process.pid, DEATH_SIGNAL)

    def _release_postgres(self) -> None:
        if self.postgres.process is not None:
            self.lifeline.release(self.postgres.process.pid, DEATH_SIGNAL)
            self.postgres.process = None

    def _watch(self) -> None:
        self._watch_postgres()
        for child in self.children.values():
            child.watch()

    def _watch_postgres(self) -> None:
        process = self.postgres.process
        if process is not None and process.poll() is not None:
            pause = self._postgres_backoff.crashed(time.monotonic() - self._postgres_started_at)
            say(f"Postgres ended ({ended(process.returncode)}); starting it again in {pause:g} s.")
            self._release_postgres()
        if self.postgres.process is None and time.monotonic() >= self._postgres_backoff.due:
            try:
                self._start_postgres()
            except PostgresFailed as error:
                say(f"{error}")

    def _prepare(self) -> str:
        """A migrated database, its owner, fresh tokens; the one-time login code."""
        make_database(self.postgres)
        engine = connect(self.postgres.url(), pool_size=1)
        try:
            migrate(engine)
            restoring.notice(engine)
            access.ensure_owner(engine)
            write_tokens(engine, self.folder)
            return access.issue_login_code(engine)
        finally:
            engine.dispose()

    def _wait_for_server(self) -> None:
        server, end = self.children["server"], time.monotonic() + START_TIMEOUT_SECONDS
        while not answers(self.address):
            if self.wakeups.stopping:
                raise Stopped
            if not server.running or time.monotonic() > end:
                raise UpFailed(f"The server did not start. The end of {server.log}:\n{server.log_tail()}")
            self.wakeups.wait(0.05)

    def _study(self) -> Child:
        """`tunebook study run FILE --wait` beside us, on our own terminal."""
        assert self.options.study
        child = Child(
            "study",
            [*python("tunebook.cli", "main"), "study", "run", str(self.options.study), "--wait"],
            environment={
                **os.environ,
                "TUNEBOOK_URL": self.address,
                "TUNEBOOK_TOKEN": (self.folder / CLIENT_FILE).read_text(),
            },
            log=None,
            lifeline=self.lifeline,
            say=say,
        )
        child.start()
        return child


def say(line: str) -> None:
    try:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
    except OSError:  # nobody reads any more: that must not end a running study
        return
