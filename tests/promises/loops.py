"""Studies whose trials a loop of one's own asks for, and points that say where they belong."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from tunebook.api import Api

_names = itertools.count()

LONG_LEASE = {
    "TUNEBOOK_BEAT_SECONDS": "60",
    "TUNEBOOK_FENCE_SECONDS": "600",
    "TUNEBOOK_LEASE_SECONDS": "900",
}
"""For trials that report by hand and never beat."""


def loop_study(api: Api, *, trials: int = 1000, metric: str = "loss") -> int:
    """The id of a running study without a job, of a project of its own."""
    name = f"loops {next(_names)}"
    project = api.post("/projects", {"name": name})["id"]
    document = {
        "name": name,
        "goal": "a promise",
        "objective": {"metric": metric, "direction": "minimize", "evaluation": "best"},
        "sampler": {"name": "halton", "seed": 1, "options": {}},
        "budget": {"trials": trials, "parallel": 1000},
        "space": [{"name": "rate", "type": "float", "low": 0.1, "high": 1.0, "role": "nuisance"}],
    }
    return int(api.post(f"/projects/{project}/studies", document)["id"])


def ask(api: Api, study: int, client: str) -> dict[str, Any]:
    """The claim of one trial."""
    (claim,) = api.post(f"/studies/{study}/trials:ask", {"client_id": client, "count": 1})["trials"]
    return dict(claim)


def stored(api: Api, trial: int, metric: str = "loss") -> list[tuple[int, Any]]:
    """Every point of a curve in the server's order, whatever its length."""
    found: list[tuple[int, Any]] = []
    first, width = 0, 50_000
    while True:
        window = {
            "metric": metric,
            "max_points": 100_000,
            "first_step": first,
            "last_step": first + width - 1,
        }
        curves = api.get(f"/trials/{trial}/metrics", params=window)["items"]
        page = [pair for c in curves for pair in zip(c["steps"], c["values"], strict=True)]
        if not page:
            return found
        found += page
        first += width


def compared(expected: Sequence[tuple[int, Any]], found: Sequence[tuple[int, Any]]) -> Mapping[str, int]:
    """How many points are lost, doubled, or neither where nor what they were."""
    wanted, seen = dict(expected), dict(found)
    return {
        "lost": sum(step not in seen for step in wanted),
        "doubled": len(found) - len(seen),
        "wrong": sum(seen[step] != value for step, value in wanted.items() if step in seen)
        + sum(step not in wanted for step in seen)
        + ([step for step, _ in found] != sorted(seen)),
    }
