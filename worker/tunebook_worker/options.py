"""What `tunebook worker` is told: by flags, and by TUNEBOOK_* variables of its environment."""

import os
import re
import signal
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

UNCAUGHT = frozenset({"SIGKILL", "SIGSTOP", "SIGCHLD", "SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL"})
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


class WrongOption(Exception):
    """A flag or variable is missing or wrong; the message says which and what would be right."""


@dataclass(frozen=True, slots=True)
class Options:
    url: str
    token: str
    broker_url: str
    folder: Path
    """DATA, absolute: checkpoints, and this worker's own folder."""
    name: str
    gpus: tuple[str, ...]
    cpus: int
    labels: Mapping[str, str]
    slots: int
    beat_seconds: float
    grace_seconds: float
    """Between SIGTERM and SIGKILL for a job that is cancelled, drained or overdue."""
    preempt_signals: tuple[str, ...]
    """By which a scheduler (Slurm, Grid Engine) says that it will take the host away."""

    @property
    def own_folder(self) -> Path:
        return self.folder / "workers" / self.name

    @property
    def jobs_folder(self) -> Path:
        return self.own_folder / "jobs"


def read(environment: Mapping[str, str], *, slots: int | None = None, name: str | None = None) -> Options:
    """Raises WrongOption."""
    gpus = _gpus(environment)
    host = re.sub(r"[^A-Za-z0-9_.-]", "-", socket.gethostname()).lstrip("-_.") or "worker"
    chosen = name or environment.get("TUNEBOOK_WORKER_NAME") or host[:100]
    if not NAME.fullmatch(chosen):
        raise WrongOption(f"--name {chosen!r}: letters, digits, dot, dash and underscore, at most 100.")
    return Options(
        url=_needed(environment, "TUNEBOOK_URL", "the server's address, such as http://127.0.0.1:8787"),
        token=_token(environment),
        broker_url=_needed(
            environment, "TUNEBOOK_BROKER_URL", "where hints come from, such as redis://host/0"
        ),
        folder=Path(environment.get("TUNEBOOK_DATA") or ".tunebook").absolute(),
        name=chosen,
        gpus=gpus,
        cpus=os.cpu_count() or 1,
        labels={},
        slots=_slots(environment, slots, default=len(gpus) or 1),
        beat_seconds=_seconds(environment, "TUNEBOOK_BEAT_SECONDS", 15.0),
        grace_seconds=_seconds(environment, "TUNEBOOK_GRACE_SECONDS", 20.0),
        preempt_signals=_signals(environment, "TUNEBOOK_PREEMPT_SIGNALS", "SIGUSR1,SIGUSR2,SIGXCPU"),
    )


def _needed(environment: Mapping[str, str], variable: str, meaning: str) -> str:
    value = environment.get(variable, "").strip()
    if not value:
        raise WrongOption(f"Set {variable}: {meaning}.")
    return value


def _token(environment: Mapping[str, str]) -> str:
    file = environment.get("TUNEBOOK_WORKER_TOKEN_FILE")
    if not file and environment.get("TUNEBOOK_WORKER_TOKEN"):
        return environment["TUNEBOOK_WORKER_TOKEN"].strip()
    file = _needed(environment, "TUNEBOOK_WORKER_TOKEN_FILE", "a file with this worker's token")
    try:
        return Path(file).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise WrongOption(f"TUNEBOOK_WORKER_TOKEN_FILE {file}: {error}") from None


def _slots(environment: Mapping[str, str], flag: int | None, *, default: int) -> int:
    text = str(flag) if flag is not None else environment.get("TUNEBOOK_SLOTS", "") or str(default)
    if not text.isdecimal() or not 1 <= int(text) <= 1000:
        raise WrongOption(f"--slots {text}: a whole number from 1 to 1000.")
    return int(text)


def _seconds(environment: Mapping[str, str], variable: str, default: float) -> float:
    text = environment.get(variable, "")
    try:
        value = float(text) if text else default
    except ValueError:
        value = -1.0
    if not 0 < value < 86_400:
        raise WrongOption(f"{variable}={text}: seconds, more than 0 and less than a day.")
    return value


def _signals(environment: Mapping[str, str], variable: str, default: str) -> tuple[str, ...]:
    """Names with commas between; none for an empty text."""
    names = [name.strip() for name in environment.get(variable, default).split(",")]
    known = {number.name for number in signal.Signals} - UNCAUGHT
    for name in filter(None, names):
        if name not in known:
            raise WrongOption(f"{variable}={name}: names of signals that can be caught, such as SIGUSR1.")
    return tuple(filter(None, names))


def _gpus(environment: Mapping[str, str]) -> tuple[str, ...]:
    """What a slot's job gets as CUDA_VISIBLE_DEVICES: our own share, or else each NVIDIA device here."""
    share = environment.get("CUDA_VISIBLE_DEVICES")
    if share is not None:
        return tuple(gpu.strip() for gpu in share.split(",") if gpu.strip())
    devices = (path.name.removeprefix("nvidia") for path in Path("/dev").glob("nvidia[0-9]*"))
    return tuple(sorted((number for number in devices if number.isdecimal()), key=int))
