"""Fetches the checkpoint that an attempt goes on from: `python -m tunebook_worker.fetch`.

A process of its own: the supervisor goes on beating meanwhile, and starts its job without threads beside it.
The errand comes on stdin and the answer goes to stdout, as JSON.
"""

import json
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tunebook.api import full_jitter
from tunebook_worker import log, stores
from tunebook_worker.stores import Missing, StoreAway, Unusable

PATIENCE_SECONDS = 300.0
"""How long a store may stay away before the trial is given back to the queue."""
MAX_WAIT_SECONDS = 10.0
TRIES = 2
"""Of a copy that is not what was registered: the network may have been at fault."""


class Damaged(Exception):
    """What is there is not what was registered."""


def fetch(
    errand: dict[str, Any], *, patience_seconds: float, sleep: Callable[[float], None] = time.sleep
) -> dict[str, Any]:
    """The first of the errand's checkpoints that is whole: `taken` is its place (None without any), `path`
    the local copy, `problems` what is wrong with each one before it; `away` or `unusable` where none can be
    had now, or from here.

    One that cannot be read for all the patience there is, is passed over if another can be read then.
    """
    problems: list[dict[str, Any]] = []
    away = ""
    end = time.monotonic() + patience_seconds
    for place, candidate in enumerate(errand["candidates"]):
        attempt = 0
        while True:
            try:
                path = _one(candidate, Path(errand["folder"]))
                return {"taken": place, "path": str(path), "problems": problems}
            except StoreAway as error:
                log.warn("the checkpoint store is away", uri=candidate["uri"], detail=str(error))
                if time.monotonic() >= end:
                    away = away or str(error)
                    problems.append(_problem(candidate, f"it cannot be read: {error}", final=False))
                    break
                sleep(full_jitter(attempt, cap=MAX_WAIT_SECONDS))
                attempt += 1
            except Unusable as error:
                return {"unusable": str(error)}
            except (Missing, Damaged) as error:
                # A file that is not on this host may be on another one.
                final = isinstance(error, Damaged) or stores.is_remote(str(candidate["uri"]))
                problems.append(_problem(candidate, str(error), final=final))
                break
    return {"away": away} if away else {"taken": None, "path": None, "problems": problems}


def _one(candidate: dict[str, Any], folder: Path) -> Path:
    """A local path with what was registered. A checkpoint of this host stays where it is."""
    uri = str(candidate["uri"])
    if not stores.is_remote(uri):
        path = Path(uri.removeprefix("file://"))
        if not path.exists():
            raise Missing(f"it is not on this host: {path}")
        _compare(candidate, stores.stamp(path), "stat:")
        return path
    goal = folder / stores.name_of(uri)
    for again in reversed(range(TRIES)):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700, parents=True)
        try:
            _compare(candidate, stores.download(uri, goal), "sha256")
        except Damaged:
            if not again:
                raise
        else:
            break
    return goal


def _compare(candidate: dict[str, Any], found: stores.Stamp, kind: str) -> None:
    size, expected = candidate.get("size_bytes"), candidate.get("content_hash") or ""
    if size is not None and size != found.size_bytes:
        raise Damaged(f"it is damaged: {found.size_bytes:,} bytes in place of {size:,}")
    if expected.startswith(kind) and expected != found.content_hash:
        raise Damaged("it is damaged: its content is not what was registered")


def _problem(candidate: dict[str, Any], text: str, *, final: bool) -> dict[str, Any]:
    """`final`: gone or damaged for every host."""
    names = ("trial_id", "epoch", "step")
    which: dict[str, Any] = {name: candidate[name] for name in names if name in candidate}
    return {**which, "problem": text, "final": final}


def main() -> int:
    log.configure()
    answer = fetch(json.load(sys.stdin), patience_seconds=PATIENCE_SECONDS)
    sys.stdout.write(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
