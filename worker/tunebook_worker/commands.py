"""`tunebook worker`: takes trials on this host until it is told to stop."""

import argparse
import contextlib
import fcntl
import os
import signal
import sys
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from pathlib import Path
from types import FrameType

from celery import signals
from celery.worker import state as celery_state

from tunebook.api import Api
from tunebook.errors import ApiError, Unreachable
from tunebook_worker import app, leftovers, log, options
from tunebook_worker.clock import boot_seconds
from tunebook_worker.kernel import keep_private
from tunebook_worker.launchers.engine import WrongConfiguration
from tunebook_worker.options import Options, WrongOption
from tunebook_worker.orders import ONE_WISH_SECONDS, Word
from tunebook_worker.registration import Registration
from tunebook_worker.removals import Removals
from tunebook_worker.slots import Closing, Slots

Handler = Callable[[int, FrameType | None], object]
ENDING_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


def worker(argv: Sequence[str]) -> int:
    """0 after a drain, 2 for a wrong option or token."""
    parser = argparse.ArgumentParser(
        prog="tunebook worker", description="Takes trials and runs them on this host."
    )
    parser.add_argument("--slots", type=int, help="trials at the same time; default: one per GPU, else one")
    parser.add_argument(
        "--launcher",
        help="where trials run: local (the default), slurm, kubernetes or ray; docs/launchers.md",
    )
    parser.add_argument("--name", help="unique among workers; default: the host's name")
    parser.add_argument(
        "--check", action="store_true", help="end with 0 if it runs and its server answers it"
    )
    parser.add_argument("--cpus", type=int, help="cores for trials; default: those it may use itself")
    parser.add_argument(
        "--label", action="append", default=[], help="key=value, may be repeated; job templates ask for them"
    )
    arguments = parser.parse_args(list(argv))
    log.configure()
    try:
        chosen = options.read(
            os.environ,
            slots=arguments.slots,
            name=arguments.name,
            cpus=arguments.cpus,
            labels=arguments.label,
            launcher=arguments.launcher,
        )
        if arguments.check:
            return check(chosen)
        os.umask(0o077)
        lock = hold(chosen.own_folder)
        _prepare(chosen.gpu_locks)
    except WrongOption as error:
        sys.stderr.write(f"tunebook worker: {error}\n")
        return 2
    keep_private()
    try:
        return run(chosen)
    except ApiError as error:
        log.warn("the server refuses this worker", detail=str(error))
        return 2
    except WrongConfiguration as error:
        sys.stderr.write(f"tunebook worker: {error}\n")
        return 2
    finally:
        os.close(lock)


def hold(folder: Path) -> int:
    """The lock on this worker's folder, until closed; raises WrongOption when another worker has it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(lock, 20, 0).decode(errors="replace").strip()
        os.close(lock)
        raise WrongOption(
            f"a worker named {folder.name!r} already runs in {folder} (process {holder}); "
            "stop it, or give this one another --name."
        ) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock


def check(chosen: Options) -> int:
    """0 when a worker has this folder and the server knows its token."""
    if not is_held(chosen.own_folder):
        sys.stderr.write(f"tunebook worker: no worker named {chosen.name!r} runs here.\n")
        return 1
    try:
        with contextlib.closing(Api(chosen.url, chosen.token)) as api:
            api.get("/me")
    except (ApiError, Unreachable) as error:
        sys.stderr.write(f"tunebook worker: {error}\n")
        return 1
    return 0


def is_held(folder: Path) -> bool:
    """Whether a worker has the lock: by the kernel's list, for trying it could keep one from starting."""
    try:
        inode = (folder / "lock").stat().st_ino
    except FileNotFoundError:
        return False
    locks = (line.split() for line in Path("/proc/locks").read_text().splitlines())
    return any(words[1] == "FLOCK" and words[5].rpartition(":")[2] == str(inode) for words in locks)


def _prepare(gpu_locks: Path) -> None:
    try:
        gpu_locks.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise WrongOption(f"TUNEBOOK_GPU_LOCKS {gpu_locks}: {error.strerror}; name a folder.") from None


def run(chosen: Options) -> int:
    preempting = [signal.Signals[name] for name in chosen.preempt_signals]
    _handle_signals(lambda number, frame: sys.exit(0), preempting)  # until there is something to drain
    leftovers.clear(chosen.jobs_folder)
    api = Api(chosen.url, chosen.token)
    signals.setup_logging.connect(lambda **_: None, weak=False)  # ours stays as it is
    nudge = threading.Event()
    celery = app.worker(app.make(chosen.broker_url, hinted=nudge.set), chosen.name)
    hearing = app.Hearing(celery)
    slots = Slots(chosen, api, nudge=nudge, has_room_again=hearing.resume)
    closing = Closing(slots)
    drain = partial(os.kill, os.getpid(), signal.SIGTERM)
    registration = Registration(chosen, api, slots, drain=drain, hearing=hearing)
    slots.adopt()
    registration.register()
    _handle_signals(_ending(closing, preempting), preempting)
    removals = Removals(chosen, api, worker_id=lambda: registration.worker_id)
    for thread in (closing, registration, removals, slots):
        thread.start()
    celery.start()
    slots.empty.wait()
    removals.end()
    registration.end()
    return int(celery.exitcode or 0)


def _ending(closing: Closing, preempting: Collection[int]) -> Handler:
    """The first signal drains, for a preemption if it is one of those; a later one, or SIGQUIT, ends the jobs
    at once."""
    first_at: list[float] = []

    def end(number: int, frame: FrameType | None) -> None:
        again = bool(first_at) and boot_seconds() - first_at[0] > ONE_WISH_SECONDS
        gently = Word.PREEMPT if number in preempting else Word.DRAIN
        closing.words.put(Word.STOP if again or number == signal.SIGQUIT else gently)
        first_at.append(boot_seconds())
        celery_state.should_stop = os.EX_OK

    return end


def _handle_signals(handler: Handler, more: Iterable[signal.Signals]) -> None:
    for number in (*ENDING_SIGNALS, *more):
        signal.signal(number, handler)
