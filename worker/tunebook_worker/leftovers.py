"""What a killed worker may have left: processes, and job folders that nobody will send any more."""

import json
import shutil
import time
from pathlib import Path
from typing import Any

import psutil

from tunebook_worker.log import note, warn
from tunebook_worker.orders import JobFolder
from tunebook_worker.tree import Tree

SUPERVISOR_SECONDS = 6.0
"""An orphaned supervisor ends by itself within its last words; after this it is hung."""
KEEP_DAYS = 7.0


def clear(jobs_folder: Path) -> None:
    """At start, under the worker's lock: nothing of an earlier run is alive when this returns."""
    folders = [JobFolder(path) for path in sorted(jobs_folder.glob("*-*")) if path.is_dir()]
    folders = [folder for folder in folders if not folder.order.exists()]  # an engine's, which goes on
    found = [(folder, _read(folder.started)) for folder in folders]
    for folder, started in found:
        tree = Tree(folder.job_file, session=_session(started))
        if tree.members():
            warn("a job outlived its worker", **_place(folder), pids=[p.pid for p in tree.members()])
            tree.kill()
        tree.close()
    _end([s for _, started in found if (s := _supervisor(started)) is not None])
    for folder in folders:
        _forget(folder)


def _place(folder: JobFolder) -> dict[str, int]:
    """The trial and attempt that the folder is named after."""
    trial_id, _, epoch = folder.path.name.partition("-")
    return {"trial_id": int(trial_id), "epoch": int(epoch)} if trial_id.isdigit() and epoch.isdigit() else {}


def _end(supervisors: list[psutil.Process]) -> None:
    _, hung = psutil.wait_procs(supervisors, timeout=SUPERVISOR_SECONDS)
    for supervisor in hung:
        warn("a supervisor outlived its worker", pid=supervisor.pid)
        supervisor.kill()
    psutil.wait_procs(hung, timeout=SUPERVISOR_SECONDS)


def _forget(folder: JobFolder) -> None:
    """Kept for a while after it ended without being acknowledged, for whoever wants to see its log."""
    try:
        age_seconds = time.time() - folder.path.stat().st_mtime
    except FileNotFoundError:
        return
    if age_seconds > KEEP_DAYS * 86_400:
        note("an old job folder is removed", **_place(folder), age_days=round(age_seconds / 86_400, 1))
        shutil.rmtree(folder.path, ignore_errors=True)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _supervisor(started: dict[str, Any]) -> psutil.Process | None:
    """The process, unless its number belongs to another one by now."""
    try:
        process = psutil.Process(int(started["supervisor"]))
        same = abs(process.create_time() - float(started["supervisor_started"])) < 0.1
    except (KeyError, TypeError, ValueError, psutil.NoSuchProcess):
        return None
    return process if same else None


def _session(started: dict[str, Any]) -> int | None:
    """The session's number, unless a process that is not ours leads it by now: numbers come round again."""
    session, since = started.get("session"), started.get("supervisor_started")
    if not isinstance(session, int) or not isinstance(since, int | float):
        return None
    if since < psutil.boot_time():
        return None
    try:
        leader = psutil.Process(session)
    except psutil.NoSuchProcess:
        return session
    return session if since <= leader.create_time() <= since + 60 else None
