"""Slurm, by its own commands: sbatch, squeue, scancel. No value passes through a shell."""

import os
import re
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from tunebook_worker.launchers.engine import EngineDown, EngineJob, EngineState, Refused, Seen

SCRIPT = '#!/bin/sh\nexec "$1" -P -m tunebook_worker.on_node "$2"\n'
"""The same for every job: what differs comes as arguments."""
ANSWER_SECONDS = 60.0
WAITING = frozenset({"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT"})
RUNNING = frozenset({"RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT", "RESIZING"})
TAKEN = frozenset({"CANCELLED", "PREEMPTED", "NODE_FAIL", "BOOT_FAIL", "REVOKED"})
_AWAY = re.compile(
    r"contact slurm controller|timed? ?out|zero bytes|connection|communicat|temporar|SubmitLimit|"
    r"MaxSubmit|job submit limit|unexpected message|in backup mode",
    re.IGNORECASE,
)
"""Of what sbatch says: it may say something else later. (QOS and association limits count what is queued.)"""


class Slurm:
    title = "Slurm"

    def __init__(
        self, *, folder: Path, options: Sequence[str], labels: Mapping[tuple[str, str], str]
    ) -> None:
        """`options` go to every sbatch; `labels` turn a template's label into one more."""
        self._script = folder / "slurm-job.sh"
        self._options, self._labels = tuple(options), labels
        self._script.write_text(SCRIPT)

    def submit(self, job: EngineJob) -> None:
        answer = self._run(["sbatch", *self._flags(job), str(self._script), sys.executable, str(job.folder)])
        if answer.returncode == 0:
            return
        said = _said(answer)
        if _AWAY.search(said):
            raise EngineDown(said)
        raise Refused(said)

    def jobs(self) -> Mapping[str, Seen]:
        answer = self._ask(["squeue", "--me", "--states=all", "--noheader", "--format=%i|%T|%r|%j"])
        found = {}
        for line in answer.splitlines():
            if line.count("|") < 3:  # the name of a job that is not ours went over two lines
                continue
            number, state, reason, name = (part.strip() for part in line.split("|", 3))
            words = state if reason in ("", "None") else f"{state} ({reason})"
            found[name] = Seen(number, _state(state), words)
        return found

    def withdraw(self, ids: Collection[str]) -> None:
        self._run(["scancel", "--state=PENDING", *ids])

    def interrupt(self, ids: Collection[str]) -> None:
        """The supervisor alone: it knows how its training ends."""
        self._run(["scancel", "--batch", "--signal=TERM", *ids])

    def logs(self, job: EngineJob, limit_bytes: int) -> bytes:
        try:
            with job.log.open("rb") as file:
                file.seek(max(0, job.log.stat().st_size - limit_bytes))
                return file.read(limit_bytes)
        except OSError:
            return b""

    def _flags(self, job: EngineJob) -> list[str]:
        flags = [f"--signal=B:TERM@{max(1, round(job.notice_seconds))}"]
        flags += [f"--cpus-per-task={job.cpus}"] if job.cpus else []
        flags += [f"--gres=gpu:{job.gpus}"] if job.gpus else []
        flags += [self._labels[pair] for pair in sorted(job.labels.items()) if pair in self._labels]
        flags += self._options
        # Last, so that no option takes their place. Slurm reads % in the name of a file.
        log = str(job.log).replace("%", "%%")
        return [*flags, "--ntasks=1", f"--job-name={job.name}", f"--output={log}", "--open-mode=append"]

    def _ask(self, argv: Sequence[str]) -> str:
        answer = self._run(argv)
        if answer.returncode:
            raise EngineDown(_said(answer))
        return answer.stdout.decode(errors="replace")

    def _run(self, argv: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
        """Without the worker's credentials: sbatch carries its environment to the node."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TUNEBOOK_")}
        try:
            return subprocess.run(
                list(argv),
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=ANSWER_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise EngineDown(str(error)) from error


def _state(word: str) -> EngineState:
    if word in WAITING:
        return EngineState.WAITING
    if word in RUNNING:
        return EngineState.RUNNING
    return EngineState.TAKEN if word in TAKEN else EngineState.ENDED


def _said(answer: subprocess.CompletedProcess[bytes]) -> str:
    lines = answer.stderr.decode(errors="replace").splitlines()
    said = [line.partition(": error: ")[2] or line for line in lines if line.strip()]
    return " ".join(said)[:400] or f"{answer.args[0]} ended with exit code {answer.returncode}"
