"""Stores: what comes out is what went in, and nothing but an attempt's own is ever removed."""

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from tunebook_worker import stores
from tunebook_worker.fetch import fetch
from tunebook_worker.stores import Missing, StoreAway, Unusable

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


def test_what_changes_while_it_is_copied_is_not_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "in"
    path.write_bytes(b"1")
    copy = stores._copy

    def and_change(*streams: Any) -> tuple[int, str]:
        found = copy(*streams)
        with path.open("ab") as more:
            more.write(b"2")
        return found

    monkeypatch.setattr(stores, "_copy", and_change)
    with pytest.raises(Unusable, match="changes while it is copied"):
        stores.upload(path, f"{ROOT}/1/2/6-in")


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
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another checkpoint is taken where it can be read; where none can, nothing is started over."""
    (tmp_path / "in").write_bytes(b"weights")
    older = candidate(f"{ROOT}/1/2/1-in", 1, stores.upload(tmp_path / "in", f"{ROOT}/1/2/1-in"))
    last = candidate(f"{ROOT}/1/2/2-in", 2, stores.upload(tmp_path / "in", f"{ROOT}/1/2/2-in"))
    download = stores.download

    def away(uri: str, path: Path) -> stores.Stamp:
        if uri in gone:
            raise StoreAway(f"{uri}: no answer")
        return download(uri, path)

    monkeypatch.setattr(stores, "download", away)
    errand = {"candidates": [last, older], "folder": str(tmp_path / "resume")}
    gone = {last["uri"]}
    found = fetch(errand, patience_seconds=0.0)
    assert (found["taken"], [p["final"] for p in found["problems"]]) == (1, [False])
    gone = {last["uri"], older["uri"]}
    assert "no answer" in fetch(errand, patience_seconds=0.0)["away"]
    gone = set()
    waited: list[float] = []
    assert fetch(errand, patience_seconds=60.0, sleep=waited.append)["taken"] == 0
    assert waited == []
