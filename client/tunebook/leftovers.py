"""What an earlier process left in the spool is sent by the next one on this host."""

import json
import os
import shutil
import threading
import time
from pathlib import Path
from typing import Any

from tunebook.api import Api, full_jitter
from tunebook.errors import Busy, TunebookError, Unreachable
from tunebook.reporting import REFUSED, SENT, Sender, remove, set_aside
from tunebook.spool import SpoolReader, holding
from tunebook.spool.journal import records, segments
from tunebook.trial import log

FORGET_SECONDS = 30 * 86400.0


def spool_root() -> Path:
    """TUNEBOOK_SPOOL, or a folder of this user's state."""
    if os.environ.get("TUNEBOOK_SPOOL"):
        return Path(os.environ["TUNEBOOK_SPOOL"])
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state) / "tunebook" / "spool"


def keep(folder: Path, *, url: str, token: str, trial_id: int, epoch: int) -> None:
    """Notes beside a spool whose it is; the token dies with the trial's epoch."""
    temporary = folder / "trial.part"
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        note = {"url": url, "token": token, "trial_id": trial_id, "epoch": epoch, "at": time.time()}
        json.dump(note, file)
    temporary.replace(folder / "trial.json")


class Ending(Exception):
    """The server gave back a trial whose end was on its way from this host: who asks again gets another."""


class Leftovers(threading.Thread):
    """Sends the spools below `root` that no living process holds, until none is left but for those taken."""

    def __init__(self, root: Path, url: str) -> None:
        super().__init__(name="tunebook leftovers", daemon=True)
        self._root, self._url = root, url
        self._taken: set[Path] = set()
        self._ended: set[Path] = set()
        """Spools whose last record, the end of the trial, was sent from here."""
        self._lock = threading.Lock()
        self._closing = threading.Event()

    def take(self, folder: Path) -> bool:
        """From now on the caller sends this spool; waits for a batch of it that is on its way.

        False where it has the end of its trial, which goes first, or had it until just now.
        """
        with self._lock:
            if folder in self._ended:
                self._ended.remove(folder)
                return False
            if _ends(folder):
                self._look_into(folder)
                return False
            self._taken.add(folder)
            return True

    def close(self) -> None:
        self._closing.set()

    def run(self) -> None:
        attempt = 0
        while self._sweep() and not self._closing.wait(full_jitter(attempt, base=1.0)):
            attempt += 1

    def _sweep(self) -> bool:
        """True when something is left that a later try may send."""
        for removed in self._root.glob(f"trial-*{SENT}"):  # by a process that was killed meanwhile
            shutil.rmtree(removed, ignore_errors=True)
        left = False
        for folder in sorted(note.parent for note in self._root.glob("trial-*/trial.json")):
            with self._lock:
                if folder not in self._taken and folder.suffix not in (SENT, REFUSED):
                    left |= self._look_into(folder)
        return left

    def _look_into(self, folder: Path) -> bool:
        if _read(folder / "trial.json").get("url") != self._url:
            return False
        try:
            with holding(folder) as free:
                known = _read(folder / "trial.json") if free else {}
                # Whoever holds it may be about to leave the rest; a folder that is gone was all sent.
                return self._deliver(folder, known) if known else not free and folder.exists()
        except OSError as error:
            log.warning("What was left in %s cannot be sent: %s", folder, error)
            return False

    def _deliver(self, folder: Path, known: dict[str, Any]) -> bool:
        sender = Sender(
            Api(known["url"], known["token"]),
            trial_id=known["trial_id"],
            epoch=known["epoch"],
            spool=SpoolReader(folder),
        )
        try:
            while not self._closing.is_set() and sender.send():
                pass
        except (Unreachable, Busy):
            return True
        except TunebookError as error:
            log.warning("Points in %s came too late: %s", folder, error)
            set_aside(folder)
        finally:
            sender.close()
        if sender.finished:
            self._ended.add(folder)
        # An unfinished trial may be asked for again: its next sequence number must stay known.
        if sender.finished or time.time() - known["at"] > FORGET_SECONDS:
            remove(folder)
        return False


def _ends(folder: Path) -> bool:
    """Whether the last record of a spool is the end of its trial; so is that of one that is being removed."""
    try:
        last = [
            found.record["type"] for path in segments(folder)[-1:] for found in records(path.read_bytes())
        ]
    except OSError:
        return True
    return last[-1:] in (["finish"], ["release"])


def _read(note: Path) -> dict[str, Any]:
    try:
        content = json.loads(note.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
