"""Rounds on the server: one goal each, and the studies that look for its answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, SupportsIndex
from urllib.parse import quote

from tunebook import design
from tunebook.api import Api
from tunebook.errors import Conflict, NotFound


@dataclass(frozen=True)
class Round:
    """A study belongs to it by `round = ID` in its document."""

    id: int
    project_id: int
    name: str
    goal: str
    conclusion: str


def find(api: Api, reference: SupportsIndex | str) -> Round:
    """By id, or by a name that only one round has. Raises NotFound, or Conflict for several."""
    named = design.reference("round", reference)
    if isinstance(named, int):
        return _round(api.get(f"/rounds/{named}"))
    found = api.get(f"/rounds?name={quote(named, safe='')}&limit=2")["items"]
    if not found:
        raise NotFound(404, "not_found", f"No round is called {named!r}.")
    if len(found) > 1:
        raise Conflict(409, "ambiguous", f"Several rounds are called {named!r}: use the id.")
    return _round(found[0])


def create(api: Api, project: str, name: str, *, goal: str = "") -> Round:
    """A round of a project by its name, which is made where it is new. Raises Conflict for a taken name."""
    project_id = design.project(api, project)["id"]
    return _round(api.post(f"/projects/{project_id}/rounds", {"name": name, "goal": goal}))


def _round(document: Mapping[str, Any]) -> Round:
    return Round(**{name: document[name] for name in Round.__dataclass_fields__})
