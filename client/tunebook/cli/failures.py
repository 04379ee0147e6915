"""Why trials of a study failed: what the newest failures say, the most frequent first."""

from collections.abc import Mapping, Sequence
from typing import Any

from tunebook.api import Api
from tunebook.cli.terminal import clean

LOOKED_THROUGH = 200
"""The newest failures, of which one range of an index is read: a study may have a hundred thousand."""
REASONS_SHOWN = 3
REASON_LONGEST = 200


def reasons(api: Api, study: Mapping[str, Any]) -> list[str]:
    """A line a reason with how many failed for it and the newest of them, and one for what is left out."""
    failed = _failed(api, study["id"], sort="-number", limit=LOOKED_THROUGH)
    groups: dict[str, list[int]] = {}
    for trial in failed:
        groups.setdefault(_short(trial), []).append(trial["id"])
    ranked = sorted(groups.items(), key=lambda group: -len(group[1]))  # stable: the newest of equals first
    lines = [f"{len(ids)} failed: {said} (trial id {ids[0]})" for said, ids in ranked[:REASONS_SHOWN]]
    rest = sum(len(ids) for _, ids in ranked[REASONS_SHOWN:])
    if rest:
        lines.append(f"{rest} failed for other reasons")
    older = study["counts"]["failed"] - len(failed)
    return [*lines, f"{older} failed before these"] if failed and older > 0 else lines


def first(api: Api, study_id: int) -> str | None:
    """What the first of its failed trials says; None where it was queued again meanwhile."""
    failed = _failed(api, study_id, sort="number", limit=1)
    return f"trial {failed[0]['number']} failed: {_short(failed[0])}" if failed else None


def _failed(api: Api, study_id: int, *, sort: str, limit: int) -> Sequence[Mapping[str, Any]]:
    wanted = {"state": "failed", "sort": sort, "limit": limit}
    found: Sequence[Mapping[str, Any]] = api.get(f"/studies/{study_id}/trials", params=wanted)["items"]
    return found


def _short(trial: Mapping[str, Any]) -> str:
    """Its reason on one line."""
    said = " ".join(str(trial["reason"]).split()) or "without a reason"
    return clean(said if len(said) <= REASON_LONGEST else f"{said[: REASON_LONGEST - 1]}…")
