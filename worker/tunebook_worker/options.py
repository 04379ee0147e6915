"""What `tunebook worker` is told: by flags, and by TUNEBOOK_* variables of its environment."""

import os
import re
import signal
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tunebook import passwords
from tunebook_worker import devices, engine_options, stores, system_metrics
from tunebook_worker.engine_options import EngineOptions, WrongEngineOption

UNCAUGHT = frozenset({"SIGKILL", "SIGSTOP", "SIGCHLD", "SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL"})
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
WORD = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,62}[A-Za-z0-9])?")
"""A key or a value of a label, as the server takes them."""
LABELS_MOST, CPUS_MOST, GPUS_MOST = 16, 4096, 64


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
    gpu_locks: Path
    """A folder of this host and user: workers that share it never share a GPU."""
    cpus: int
    cores: tuple[int, ...]
    """The cores that jobs are bound to; empty when `cpus` is more than this process may use."""
    labels: Mapping[str, str]
    slots: int
    beat_seconds: float
    grace_seconds: float
    """Between SIGTERM and SIGKILL for a job that is cancelled, drained or overdue."""
    preempt_signals: tuple[str, ...]
    """By which a scheduler (Slurm, Grid Engine) says that it will take the host away."""
    store: str = ""
    """Where checkpoints are kept: a URL of fsspec or a shared folder; empty: in DATA."""
    upload_seconds: float = 600.0
    """How long the end of an attempt waits for its checkpoints to be uploaded."""
    engine: EngineOptions | None = None
    """Where trials run; None: on this host."""

    @property
    def own_folder(self) -> Path:
        return self.folder / "workers" / self.name

    @property
    def jobs_folder(self) -> Path:
        return self.own_folder / "jobs"

    @property
    def upload_to(self) -> str:
        """Empty where jobs write into the store itself."""
        return self.store if stores.is_remote(self.store) else ""

    @property
    def checkpoint_roots(self) -> tuple[tuple[str, bool], ...]:
        """Where this worker can remove checkpoints, and whether every host sees the same there."""
        own = (str(self.folder / "checkpoints"), False)
        return (own, (self.store, True)) if self.store else (own,)

    def checkpoint_folder(self, trial_id: int, epoch: int) -> Path:
        """An attempt's own, where its job writes."""
        root = self.folder / "checkpoints"
        if self.store and not self.upload_to:
            root = Path(self.store)
        return root / str(trial_id) / str(epoch)


def read(
    environment: Mapping[str, str],
    *,
    slots: int | None = None,
    name: str | None = None,
    cpus: int | None = None,
    labels: Sequence[str] = (),
    launcher: str | None = None,
) -> Options:
    """Raises WrongOption."""
    try:
        engine = engine_options.read(environment, launcher=launcher)
    except WrongEngineOption as error:
        raise WrongOption(str(error)) from None
    gpus = _gpus(environment) if engine is None else ()
    folder = Path(environment.get("TUNEBOOK_DATA") or ".tunebook").absolute()
    try:
        system_metrics.period(environment)
    except ValueError as error:
        raise WrongOption(str(error)) from None
    host = re.sub(r"[^A-Za-z0-9_.-]", "-", socket.gethostname()).lstrip("-_.") or "worker"
    chosen = name or environment.get("TUNEBOOK_WORKER_NAME") or host[:100]
    if not NAME.fullmatch(chosen):
        raise WrongOption(f"--name {chosen!r}: letters, digits, dot, dash and underscore, at most 100.")
    usable = _usable_cores()
    cores = _cpus(environment, cpus, default=len(usable))
    return Options(
        url=_needed(environment, "TUNEBOOK_URL", "the server's address, such as http://127.0.0.1:8787"),
        token=_token(environment),
        broker_url=_broker_url(environment),
        folder=folder,
        name=chosen,
        gpus=tuple(gpu.name for gpu in gpus),
        gpu_locks=Path(environment.get("TUNEBOOK_GPU_LOCKS") or folder / "gpus" / host).absolute(),
        cpus=cores,
        cores=usable[:cores] if cores <= len(usable) else (),
        labels={
            **_labels(environment, labels, gpu=devices.label(gpus)),
            **({} if engine is None else engine.labels),
        },
        slots=_slots(environment, slots, default=len(gpus) or 1),
        beat_seconds=_seconds(environment, "TUNEBOOK_BEAT_SECONDS", 15.0),
        grace_seconds=_seconds(environment, "TUNEBOOK_GRACE_SECONDS", 20.0),
        store=_store(environment),
        upload_seconds=_seconds(environment, "TUNEBOOK_UPLOAD_SECONDS", 600.0),
        engine=engine,
        preempt_signals=_signals(environment, "TUNEBOOK_PREEMPT_SIGNALS", "SIGUSR1,SIGUSR2,SIGXCPU"),
    )


def _needed(environment: Mapping[str, str], variable: str, meaning: str) -> str:
    value = environment.get(variable, "").strip()
    if not value:
        raise WrongOption(f"Set {variable}: {meaning}.")
    return value


def _broker_url(environment: Mapping[str, str]) -> str:
    url = _needed(environment, "TUNEBOOK_BROKER_URL", "where hints come from, such as redis://host/0")
    file = environment.get("TUNEBOOK_BROKER_PASSWORD_FILE")
    try:
        return passwords.into_url(url, Path(file)) if file else url
    except passwords.WrongPassword as error:
        raise WrongOption(f"TUNEBOOK_BROKER_PASSWORD_FILE: {error}") from None


def _token(environment: Mapping[str, str]) -> str:
    file = environment.get("TUNEBOOK_WORKER_TOKEN_FILE")
    if not file and environment.get("TUNEBOOK_WORKER_TOKEN"):
        return environment["TUNEBOOK_WORKER_TOKEN"].strip()
    file = _needed(environment, "TUNEBOOK_WORKER_TOKEN_FILE", "a file with this worker's token")
    try:
        token = Path(file).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise WrongOption(f"TUNEBOOK_WORKER_TOKEN_FILE {file}: {error}") from None
    if not token:
        raise WrongOption(f"TUNEBOOK_WORKER_TOKEN_FILE {file} is empty; a server prints one: --worker-token.")
    return token


def _store(environment: Mapping[str, str]) -> str:
    store = environment.get("TUNEBOOK_CHECKPOINTS", "").strip().rstrip("/")
    if not stores.is_remote(store):
        return str(Path(store.removeprefix("file://")).absolute()) if store else ""
    try:
        stores.check(store)
    except stores.Unusable as error:
        raise WrongOption(f"TUNEBOOK_CHECKPOINTS {store}: {error}.") from None
    return store


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


def _gpus(environment: Mapping[str, str]) -> tuple[devices.Gpu, ...]:
    try:
        found = devices.find(environment)
    except devices.NoSuchGpu as error:
        raise WrongOption(str(error)) from None
    if len(found) > GPUS_MOST:
        raise WrongOption(
            f"{len(found)} GPUs: one worker has {GPUS_MOST} at most; name some in TUNEBOOK_GPUS."
        )
    return found


def _usable_cores() -> tuple[int, ...]:
    """Those that this process may run on; none are named where the system does not tell."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return ()


def _cpus(environment: Mapping[str, str], flag: int | None, *, default: int) -> int:
    text = str(flag) if flag is not None else environment.get("TUNEBOOK_CPUS", "")
    text = text or str(default or os.cpu_count() or 1)
    if not text.isdecimal() or not 1 <= int(text) <= CPUS_MOST:
        raise WrongOption(f"--cpus {text}: a whole number from 1 to {CPUS_MOST}.")
    return int(text)


def _labels(environment: Mapping[str, str], flags: Sequence[str], *, gpu: str) -> dict[str, str]:
    """Those of the variable, then those of the flags, which win; `gpu` where neither says it."""
    labels = {"gpu": gpu} if gpu else {}
    variable = [word for word in environment.get("TUNEBOOK_LABELS", "").split(",") if word.strip()]
    for source, pairs in (("TUNEBOOK_LABELS", variable), ("--label", flags)):
        for pair in pairs:
            key, equals, value = (part.strip() for part in pair.partition("="))
            if not (equals and WORD.fullmatch(key) and WORD.fullmatch(value)):
                raise WrongOption(
                    f"{source} {pair.strip()!r}: key=value, such as gpu=h200, each of at most 64 letters, "
                    "digits, dots, dashes and underscores."
                )
            labels[key] = value
    if len(labels) > LABELS_MOST:
        raise WrongOption(f"--label: {len(labels)} labels are too many; give at most {LABELS_MOST}.")
    return labels
