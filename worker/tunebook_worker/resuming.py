"""From which checkpoint an attempt goes on: the last registered one that is whole, and what is said of it."""

import json
import subprocess
import sys
from typing import Any

from tunebook_worker import stores
from tunebook_worker.fetch import fetch
from tunebook_worker.launch import LaunchFailed
from tunebook_worker.log import warn
from tunebook_worker.orders import JobFolder, Order, Resume

Errand = dict[str, Any]


class Elsewhere(Exception):
    """The store stayed away: the trial is worth another try, here or on another host."""


def errand(order: Order, folder: JobFolder) -> Errand | None:
    """What is to be fetched; None for an attempt that starts at step 0."""
    candidates = [order.claim.get("resume"), *order.claim.get("older", ())]
    found = [candidate for candidate in candidates if candidate]
    return {"candidates": found, "folder": str(folder.resume)} if found else None


def needs_download(wanted: Errand) -> bool:
    return any(stores.is_remote(str(candidate["uri"])) for candidate in wanted["candidates"])


def look(wanted: Errand) -> Resume:
    """Where everything lies on this host."""
    return read(wanted, fetch(wanted, patience_seconds=0.0))


def start(wanted: Errand) -> "subprocess.Popen[bytes]":
    """A process that downloads; its stdout gives what `read` reads."""
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "tunebook_worker.fetch"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdin is not None
    child.stdin.write(json.dumps(wanted).encode())
    child.stdin.close()
    return child


def ended(wanted: Errand, child: "subprocess.Popen[bytes]") -> Resume:
    assert child.stdout is not None
    said = child.stdout.read()
    if child.wait() != 0:
        raise LaunchFailed(f"The checkpoint could not be fetched: exit code {child.returncode}.")
    return read(wanted, json.loads(said))


def read(wanted: Errand, answer: dict[str, Any]) -> Resume:
    """Raises Elsewhere or LaunchFailed."""
    if "away" in answer:
        raise Elsewhere(f"The checkpoint store did not answer: {answer['away']}")
    if "unusable" in answer:
        raise LaunchFailed(f"The checkpoint cannot be read here: {answer['unusable']}")
    candidates, problems = wanted["candidates"], answer["problems"]
    taken = None if answer["taken"] is None else candidates[answer["taken"]]
    told = None
    if problems:
        note = _note(taken, problems)
        lost = [
            {name: problem[name] for name in ("trial_id", "epoch", "step", "problem") if name in problem}
            for problem in problems
            if problem["final"]
        ]
        told = {"note": note, "lost": lost}
        if taken is not None:
            told |= {name: taken[name] for name in ("trial_id", "epoch", "step") if name in taken}
        warn("not resumed from the last checkpoint", detail=note)
    if taken is None:
        return Resume(told=told)
    return Resume(int(taken["step"]), answer["path"], told)


def _note(taken: dict[str, Any] | None, problems: list[dict[str, Any]]) -> str:
    first = "; ".join(f"checkpoint of step {each['step']}: {each['problem']}" for each in problems[:3])
    more = f"; and {len(problems) - 3} more" if len(problems) > 3 else ""
    if taken is None:
        return f"Started over from the beginning. {first[:1].upper()}{first[1:]}{more}."
    return f"Resumed from step {taken['step']}. {first[:1].upper()}{first[1:]}{more}."
