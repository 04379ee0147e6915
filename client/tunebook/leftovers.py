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


class Leftovers(threading.Thread):
    """Sends the spools below `root` that no living process writes, until none is left."""

    def __init__(self, root: Path, url: str) -> None:
        super().__init__(name="tunebook leftovers", daemon=True)
        self._root, self._url = root, url
        self._taken: set[Path] = set()
        self._lock = threading.Lock()
        self._closing = threading.Event()

    def take(self, folder: Path) -> None:
        """From now on the caller sends this spool; waits for a batch of it that is on its way."""
        with self._lock:
            self._taken.add(folder)

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
                if folder not in self._taken and folder.suffix != REFUSED:
                    left |= self._look_into(folder)
        return left

    def _look_into(self, folder: Path) -> bool:
        try:
            with holding(folder) as free:
                known = _read(folder / "trial.json") if free else {}  # else its own process sends it
                return known.get("url") == self._url and self._deliver(folder, known)
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
        # An unfinished trial may be asked for again: its next sequence number must stay known.
        if sender.finished or time.time() - known["at"] > FORGET_SECONDS:
            remove(folder)
        return False


def _read(note: Path) -> dict[str, Any]:
    try:
        content = json.loads(note.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
