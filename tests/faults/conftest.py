"""A `tunebook up` of the test's own, or one that a file's tests share; nothing of it is left afterwards."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.tree import Up


@pytest.fixture
def record(tmp_path: Path) -> Path:
    folder = tmp_path / "record"
    folder.mkdir()
    return folder


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    with ended_well(Up(tmp_path / "data")) as up:
        yield up


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with ended_well(Up(tmp_path_factory.mktemp("shared") / "data")) as up:
        yield up.start()


@contextmanager
def ended_well(up: Up) -> Iterator[Up]:
    try:
        yield up
    finally:
        if up.process is not None and not up.ended:
            tree = up.tree()
            assert up.stop() == 0
            assert [process for process in tree if process.is_running()] == []
