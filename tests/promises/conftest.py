"""The harness of the promises: two sizes of each, figures of what was measured, one seed a test."""

import random
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pytest

from tests.promises.record import Record, Value, promise_of
from tests.template import make_template
from tunebook_server.embedded.postgres import Postgres

T = TypeVar("T")


class Size(Protocol):
    def __call__(self, *, p: T, n: T) -> T: ...


class Figures(Protocol):
    def __call__(self, **measured: Value) -> None: ...


@pytest.fixture
def tier(request: pytest.FixtureRequest) -> str:
    """P on every change, N under --soak."""
    return "N" if request.config.getoption("--soak") else "P"


@pytest.fixture
def size(tier: str) -> Size:
    """The size of this run's tier: `size(p=3, n=20)`."""

    def chosen(*, p: T, n: T) -> T:
        return n if tier == "N" else p

    return chosen


@pytest.fixture
def figures(request: pytest.FixtureRequest, tier: str) -> Figures:
    """Keeps what was measured, of the promise that the file is named for:
    `figures(kills=20, lost=0, control="synchronous_commit=off: caught, 225 lost")`.

    A control in a test of its own gives `control` alone. The table has one row a promise, with all of it.
    """
    started = time.monotonic()

    def keep(**measured: Value) -> None:
        control = str(measured.pop("control", ""))
        seconds = round(time.monotonic() - started, 1)
        promise = promise_of(request.path)
        assert promise, f"{request.path.name} is not named test_rNN_WORDS.py"
        found = Record(promise, tier, measured, control, seconds=seconds)
        request.node.user_properties.append(("promise", found.line()))
        _keep(request.config, found)

    return keep


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """Every random choice of a test comes from it; printed where the test fails."""
    given: int | None = request.config.getoption("--seed")
    chosen = random.SystemRandom().randrange(2**32) if given is None else given
    print(f"Repeat with --seed={chosen}")
    return chosen


@pytest.fixture
def chance(seed: int) -> random.Random:
    return random.Random(seed)


@pytest.fixture
def durable(tmp_path: Path) -> Iterator[Callable[..., Postgres]]:
    """Starts a Postgres as `tunebook up` does, which keeps its word after a crash, in a folder of its own;
    `template` is its migrated database. Settings are Postgres' own: `durable(synchronous_commit="off")`."""
    started: list[Postgres] = []

    def start(**settings: str) -> Postgres:
        server = Postgres(tmp_path / f"postgres-{len(started)}", settings=settings)
        started.append(server)
        server.start()
        make_template(server)
        return server

    yield start
    for server in started:
        server.stop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed and (promise := promise_of(item.path)):
        tier = "N" if item.config.getoption("--soak") else "P"
        _keep(item.config, Record(promise, tier, failed=item.name))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports: list[Any] = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    lines = {
        line
        for report in reports
        if report.when == "call"
        for name, line in report.user_properties
        if name == "promise"
    }
    if lines:
        terminalreporter.section("promises")
    for line in sorted(lines):
        terminalreporter.line(line)


def _keep(config: pytest.Config, record: Record) -> None:
    path: Path | None = config.getoption("--figures")
    if path is not None:
        record.append_to(path)
