"""Following a study to its end, and what to say about it then."""

import sys
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from tunebook.api import Api, full_jitter
from tunebook.cli import failures
from tunebook.cli.terminal import ProgressLine, clean, duration, number
from tunebook.errors import Busy, Unreachable

POLL_SECONDS = 1.0
FINISHED, NONE_COMPLETED, NOT_IN_TIME, INTERRUPTED = 0, 1, 3, 130
ENDED = ("completed", "infeasible", "stopped", "failed")


def wait(api: Api, study_id: int, *, timeout_seconds: float | None = None) -> int:
    """Shows progress until the study is finished, then its summary. The study does not depend on it."""
    progress = ProgressLine()
    try:
        study = _follow(api, study_id, progress, timeout_seconds)
    except KeyboardInterrupt:
        progress.clear()
        print(f"\n{_goes_on(study_id)}", file=sys.stderr)
        return INTERRUPTED
    progress.clear()
    if study is None:
        print(f"Not finished after {timeout_seconds:g} s. {_goes_on(study_id)}", file=sys.stderr)
        return NOT_IN_TIME
    print(summary(api, study))
    return FINISHED if study["counts"].get("completed") else NONE_COMPLETED


def _follow(
    api: Api, study_id: int, progress: ProgressLine, timeout_seconds: float | None
) -> dict[str, Any] | None:
    """The finished study; None when time is up. A server that is away is waited for."""
    started, silences, best, told = time.monotonic(), 0, _Best(api), False
    study: dict[str, Any] | None = None
    while True:
        try:
            study = api.get(f"/studies/{study_id}")
            silences = 0
            if study["state"] == "finished":
                return study
            if not told and study["counts"].get("failed"):
                told = _tell_first(api, study_id, progress)
            text = _line(study, best.trial(study))
        except (Unreachable, Busy):
            silences += 1
            text = "the server does not answer; trying again"
        now = time.monotonic()
        if timeout_seconds is not None and now - started > timeout_seconds:
            return None
        progress.show(_ended(study), study["budget"] if study else 0, text, now=now)
        time.sleep(POLL_SECONDS + (full_jitter(silences, cap=10.0) if silences else 0.0))


def _tell_first(api: Api, study_id: int, progress: ProgressLine) -> bool:
    """Whether there was a failed trial to tell of: the first one often says what ails all of them."""
    said = failures.first(api, study_id)
    if said:
        progress.note(said)
    return said is not None


class _Best:
    """The best trial so far, fetched when it changes."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._known: Mapping[str, Any] | None = None

    def trial(self, study: Mapping[str, Any]) -> Mapping[str, Any] | None:
        wanted = study.get("best_trial_id")
        if wanted is None:
            return None
        if self._known is None or self._known["id"] != wanted or self._known["state"] not in ENDED:
            self._known = self._api.get(f"/trials/{wanted}")
        return self._known


def _line(study: Mapping[str, Any], best: Mapping[str, Any] | None) -> str:
    counts = study["counts"]
    running = counts.get("running", 0) + counts.get("claimed", 0)
    parts = [f"{running} running"]
    parts += [
        f"{counts[state]} {state}" for state in ("infeasible", "stopped", "failed") if counts.get(state)
    ]
    if study["state"] == "paused":
        parts.insert(0, "paused")
    if best:
        metric = clean(study["objective"]["metric"])
        parts.append(f"best {metric} {number(best['objective'])} (trial {best['number']})")
    return "  ".join(parts)


def summary(api: Api, study: Mapping[str, Any]) -> str:
    """The best trial, the share of infeasible trials, why trials failed, and where to see more."""
    ended, counts = _ended(study), study["counts"]
    lines = [f'Study {study["id"]} "{clean(study["name"])}" {study["state"]}: {ended} trials{_took(study)}']
    best = _Best(api).trial(study)
    if best:
        metric = clean(study["objective"]["metric"])
        at = f" at step {best['best_step']}" if best.get("best_step") is not None else ""
        found = f"{metric} {number(best['objective'])}{at} ({study['objective']['direction']})"
        lines.append(f"  best trial   {best['number']}: {found}")
        lines += [f"               {clean(k)} = {number(v)}" for k, v in best["parameters"].items()]
    else:
        lines.append("  best trial   none: no trial has an objective yet")
    infeasible = counts.get("infeasible", 0)
    share = f" ({infeasible / ended:.0%})" if ended else ""
    lines.append(f"  infeasible   {infeasible} of {ended}{share}")
    if counts.get("failed"):
        lines.append(f"  failed       {counts['failed']}")
        lines += [f"               {reason}" for reason in failures.reasons(api, study)]
    lines.append(f"  dashboard    {api.url}/studies/{study['id']}")
    return "\n".join(lines)


def _ended(study: Mapping[str, Any] | None) -> int:
    return sum(study["counts"].get(state, 0) for state in ENDED) if study else 0


def _took(study: Mapping[str, Any]) -> str:
    if not study.get("finished_at"):
        return ""
    started, finished = (datetime.fromisoformat(study[key]) for key in ("created_at", "finished_at"))
    return f" in {duration((finished - started).total_seconds())}"


def _goes_on(study_id: int) -> str:
    return f"The study goes on; look again with `tunebook study wait {study_id}`."
