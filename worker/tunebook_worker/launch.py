"""Starts the training command: an argv list, a folder, a short environment; never a shell."""

import math
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tunebook_worker.kernel import bound_to

ALWAYS = ("PATH", "HOME", "LANG")
"""Besides the template's own list, these are copied from the worker's environment."""


class LaunchFailed(Exception):
    """The job could not be started; the message is for the person who wrote the template."""


def words(argv: Sequence[str], parameters: Mapping[str, object]) -> list[bytes]:
    """The template's argv, then each hyperparameter as one `--name=value` element; these bytes are run."""
    program = sys.executable if argv[0] == "python" else argv[0]
    values = [f"--{name}={text(value)}" for name, value in parameters.items()]
    try:
        encoded = [word.encode() for word in (program, *argv[1:], *values)]
    except UnicodeEncodeError as error:
        raise LaunchFailed(f"An argument cannot be written as UTF-8: {error.object[:100]!r}") from None
    if any(b"\0" in word for word in encoded):
        raise LaunchFailed("An argument contains the NUL character, which no command line can carry.")
    return encoded


def text(value: object) -> str:
    """A value as the command line shows it: true/false, and floats with every digit they need."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else str(value)
    return str(value)


def surroundings(
    allowed: Sequence[str],
    own: Mapping[str, str],
    *,
    job_file: Path,
    gpus: Sequence[str] | None = None,
    threads: int = 0,
) -> dict[str, str]:
    """The job's whole environment. Variables of Tunebook itself hold credentials and are never passed on.

    `threads`: how many each process should compute with, unless the template passes its own number; 0 for
    as many as it likes.
    """
    chosen = {
        name: own[name] for name in (*ALWAYS, *allowed) if name in own and not name.startswith("TUNEBOOK_")
    }
    if gpus is not None:
        chosen["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
    if threads:
        chosen.setdefault("OMP_NUM_THREADS", str(threads))
    return {**chosen, "TUNEBOOK_JOB": str(job_file)}


def start(
    argv: Sequence[bytes],
    *,
    folder: str,
    environment: Mapping[str, str],
    processes: int = 1,
    grace_seconds: float = 0.0,
    cores: Sequence[int] = (),
    locks: Sequence[int] = (),
    door: Path | None = None,
) -> subprocess.Popen[bytes]:
    """In a session of its own, bound to the life of the calling thread. Raises LaunchFailed.

    `processes`: several are started by one that ends as they do (`ranks`). `cores`: all that it may run on.
    `locks`: descriptors that it inherits. `door`: of the control group that it enters.

    Call it before the process has threads: the code between fork and exec could wait for a lock of theirs.
    """
    _check(argv[0].decode(), Path(folder), environment)
    try:
        return subprocess.Popen(
            list(argv) if processes == 1 else ranks_argv(argv, processes, grace_seconds),
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=bound_to(os.getpid(), cores=cores, door=door),  # noqa: PLW1509 — no threads yet
            pass_fds=locks,
        )
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise LaunchFailed(f"The command {_shown(argv[0])} could not be started: {error}") from error


def ranks_argv(argv: Sequence[bytes], processes: int, grace_seconds: float) -> list[bytes]:
    """The command that starts several of this one."""
    starter = (sys.executable, "-P", "-m", "tunebook_worker.ranks", str(processes), repr(grace_seconds))
    return [*(word.encode() for word in starter), *argv]


def _check(program: str, folder: Path, environment: Mapping[str, str]) -> None:
    if not folder.is_absolute():
        raise LaunchFailed(f"The job template's folder {_shown(folder)} is not an absolute path.")
    if not folder.is_dir():
        raise LaunchFailed(f"The job template's folder {_shown(folder)} does not exist on this host.")
    if "/" in program:
        place: Path | None = folder / program
        where = ""
    else:
        found = shutil.which(program, path=environment.get("PATH", os.defpath))
        place = Path(found) if found else None
        where = f" on PATH {environment.get('PATH', os.defpath)}"
    if place is None or not place.exists():
        raise LaunchFailed(f"The command {_shown(program)} was not found{where}.")
    if place.is_dir() or not os.access(place, os.X_OK):
        raise LaunchFailed(f"The command {_shown(program)} is not an executable file.")


def _shown(text: bytes | str | Path) -> str:
    return repr(text.decode(errors="replace") if isinstance(text, bytes) else str(text))[:300]
