"""What trials on every engine are tested with: programs to train, and what to wait for."""

from datetime import datetime, timedelta

from tests.live import LEASE_SECONDS, PATIENCE_SECONDS, Live, until

QUICK = 'print(\'{"step": 1, "loss": 1}\')'
WAIT = "import signal; signal.pause()"
SAVES_WHEN_TOLD = """
import time, tunebook
trial = tunebook.current_trial()
assert not trial.should_stop  # takes SIGTERM over, before the report says that there is somebody to tell
step = trial.resume_step or 0
trial.report(step, {"loss": 1.0})
while not trial.should_stop and trial.epoch == 1:
    time.sleep(0.01)
if trial.should_stop:
    path = trial.checkpoint_folder / "last"
    path.touch()
    trial.checkpoint(7, path)
"""


def running(live: Live, study: int) -> int:
    """The id of the study's trial, once its training runs."""
    trial = int(live.running(study)["id"])
    until(lambda: live.processes_of(trial), f"trial {trial} trains")
    return trial


def outcome(live: Live, trial: int, within_seconds: float = PATIENCE_SECONDS) -> tuple[str, bool, str]:
    """Of the first attempt, once it has one."""
    until(
        lambda: live.attempts(trial)[0]["outcome"], f"the first attempt at {trial} has ended", within_seconds
    )
    first = live.attempts(trial)[0]
    return first["outcome"], first["charged"], first["reason"]


def beats_for_longer_than_a_lease(live: Live, trial: int) -> None:
    def beat() -> datetime | None:
        at = live.attempts(trial)[0]["last_beat_at"]
        return None if at is None else datetime.fromisoformat(at)

    first = until(beat, "the worker has beaten")
    enough = timedelta(seconds=1.5 * LEASE_SECONDS)
    until(lambda: (beat() or first) - first > enough, "it has done so for longer than a lease")


def cancel(live: Live, study: int, trial: int) -> None:
    live.api.post(f"/trials/{trial}:cancel")
    live.ended(study)
