"""Stores: what comes out is what went in, and nothing but an attempt's own is ever removed."""

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from tunebook_worker import stores
from tunebook_worker.fetch import fetch
from tunebook_worker.stores import Missing, Unusable

ROOT = "memory://checkpoints"
OWN: dict[str, Any] = {"root": ROOT, "trial_id": 1, "epoch": 2}


def tree(path: Path) -> dict[str, bytes]:
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def test_a_file_comes_back_as_it_went_in(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(os.urandom(3 << 20))
    stored = stores.upload(tmp_path / "in", f"{ROOT}/1/2/3-in")
    assert stored.content_hash == "sha256:" + hashlib.sha256((tmp_path / "in").read_bytes()).hexdigest()
    assert stores.download(f"{ROOT}/1/2/3-in", tmp_path / "out") == stored
    assert (tmp_path / "out").read_bytes() == (tmp_path / "in").read_bytes()
    for _ in range(2):
        stores.remove(f"{ROOT}/1/2/3-in", **OWN)
        with pytest.raises(Missing):
            stores.download(f"{ROOT}/1/2/3-in", tmp_path / "again")


def test_a_folder_comes_back_as_it_went_in(tmp_path: Path) -> None:
    for name in ("model", "a b/shard", "a b/ünï", "empty"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(b"" if name == "empty" else name.encode())
    stored = stores.upload(tmp_path / "in", f"{ROOT}/1/2/4-in")
    assert stored.content_hash.startswith("sha256-tree:")
    assert stores.download(f"{ROOT}/1/2/4-in", tmp_path / "out") == stored
    assert tree(tmp_path / "out") == tree(tmp_path / "in")
    (tmp_path / "in" / "model").rename(tmp_path / "in" / "other")
    assert stores.upload(tmp_path / "in", f"{ROOT}/1/2/5-in") != stored
    stores.remove(f"{ROOT}/1/2/4-in", **OWN)
    with pytest.raises(Missing):
        stores.download(f"{ROOT}/1/2/4-in", tmp_path / "again")


class Unsteady(MemoryFileSystem):  # type: ignore[misc]
    """A store of this process that can be away in parts, and take its time."""

    protocol = "unsteady"
    away: ClassVar[set[str]] = set()
    meanwhile: ClassVar[Callable[[], object]] = bool

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(super()._strip_protocol(path.replace("unsteady://", "memory://")))

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        if path in self.away:
            raise ConnectionError("no answer")
        if mode == "wb":
            Unsteady.meanwhile()
        return super()._open(path, mode, **options)


@pytest.fixture
def unsteady() -> Iterator[type[Unsteady]]:
    fsspec.register_implementation("unsteady", Unsteady, clobber=True)
    yield Unsteady
    Unsteady.away, Unsteady.meanwhile = set(), bool


def test_what_changes_while_it_is_copied_is_not_stored(tmp_path: Path, unsteady: type[Unsteady]) -> None:
    path = tmp_path / "in"
    path.write_bytes(b"1")
    unsteady.meanwhile = lambda: path.write_bytes(path.read_bytes() + b"2")
    with pytest.raises(Unusable, match="changes while it is copied"):
        stores.upload(path, "unsteady://x/1/2/6-in")
    changes = iter([b"12"])
    unsteady.meanwhile = lambda: [path.write_bytes(content) for content in changes]
    assert stores.upload(path, "unsteady://x/1/2/6-in").size_bytes == 2, "once is forgiven"


def test_what_is_no_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(Missing):
        stores.stamp(tmp_path / "none")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Unusable, match="no regular file"):
        stores.stamp(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    with pytest.raises(Unusable, match="empty folder"):
        stores.upload(tmp_path / "folder", f"{ROOT}/1/2/7-in")
    (tmp_path / "folder" / "link").symlink_to(tmp_path)
    with pytest.raises(Unusable, match="link to a folder"):
        stores.stamp(tmp_path / "folder")


@pytest.mark.parametrize(
    "rest",
    ["", "/", "1/2", "1/2/", "1/2//", "1/2/../3", "1/2/./x", "1/3/x", "11/2/x", "1/2/a//b", "../1/2/x"],
)
@pytest.mark.parametrize("root", [ROOT, "/data/checkpoints"])
def test_nothing_outside_of_the_attempts_folder_is_removed(root: str, rest: str) -> None:
    with pytest.raises(Unusable, match="does not lie in"):
        stores.remove(f"{root}/{rest}", **{**OWN, "root": root})


@pytest.mark.parametrize("name", ["*", "a?", "[ab]"])
def test_an_address_that_means_several_is_refused(name: str) -> None:
    with pytest.raises(Unusable, match="more than one"):
        stores.remove(f"{ROOT}/1/2/{name}", **OWN)


@pytest.mark.parametrize("name", ["../../x", "a b", "*", "ünï", "\n", "x" * 500, "..", "?versionId=1"])
def test_a_key_is_one_plain_name(name: str) -> None:
    made = stores.key(ROOT + "/", trial_id=1, epoch=2, step=3, path=Path("/data") / name)
    head, _, last = made.rpartition("/")
    assert head == f"{ROOT}/1/2"
    assert last.startswith("3-")
    assert all(c.isascii() and (c.isalnum() or c in "._-") for c in last)
    assert len(last) < 120
    assert "/" not in stores.name_of(made)


@pytest.mark.parametrize(
    ("store", "words"), [("nothing://x", "no kind of store"), ("gs://x", "needs a package")]
)
def test_a_store_that_nobody_here_knows_is_named(store: str, words: str) -> None:
    with pytest.raises(Unusable, match=words):
        stores.check(store)


def candidate(uri: str, step: int, stamp: stores.Stamp) -> dict[str, Any]:
    return {
        "uri": uri,
        "epoch": 2,
        "step": step,
        "size_bytes": stamp.size_bytes,
        "content_hash": stamp.content_hash,
    }


def test_a_store_that_stays_away_is_not_taken_for_an_empty_one(
    tmp_path: Path, unsteady: type[Unsteady]
) -> None:
    """Another checkpoint is taken where it can be read; where none can, nothing is started over."""
    (tmp_path / "in").write_bytes(b"weights")
    places = {step: f"unsteady://y/1/2/{step}-in" for step in (2, 1)}
    candidates = [candidate(uri, step, stores.upload(tmp_path / "in", uri)) for step, uri in places.items()]
    errand = {"candidates": candidates, "folder": str(tmp_path / "resume")}
    unsteady.away = {"/y/1/2/2-in"}
    found = fetch(errand, patience_seconds=0.0)
    assert (found["taken"], [p["final"] for p in found["problems"]]) == (1, [False])
    unsteady.away = {"/y/1/2/2-in", "/y/1/2/1-in"}
    assert "no answer" in fetch(errand, patience_seconds=0.0)["away"]
    waits = iter([lambda: None, unsteady.away.clear])
    found = fetch(errand, patience_seconds=60.0, sleep=lambda seconds: next(waits)())
    assert found["taken"] == 0
