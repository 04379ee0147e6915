"""R28: people do not overwrite each other: of two edits of one state, the later is told."""

from typing import Any

import pytest
from sqlalchemy import Engine

from tests.api.site import Site, World, ok, populate
from tests.promises.conftest import Figures

EDITS = 1_000
"""Of each of two editors: both have read, both write."""


@pytest.mark.parametrize("what", ["study", "trial", "project", "round"])
def test_of_two_edits_of_one_state_one_is_refused(engine: Engine, figures: Figures, what: str) -> None:
    site = Site(engine)
    try:
        found = conflicts(site, populate(site), what, EDITS // 4, conditional=True)
    finally:
        site.close()
    assert found == {"accepted": EDITS // 4, "refused": EDITS // 4, "silent_overwrites": 0}
    figures(**{f"{name.replace('_', ' ')} of a {what}": count for name, count in found.items()})


def test_without_if_match_they_would(engine: Engine, figures: Figures) -> None:
    """The control: edits that do not say what they were made from."""
    site = Site(engine)
    try:
        found = conflicts(site, populate(site), "study", 20, conditional=False)
    finally:
        site.close()
    assert found["silent_overwrites"] > 0
    figures(control=f"without If-Match: caught, {found['silent_overwrites']} overwritten of 20")


def conflicts(site: Site, world: World, what: str, edits: int, *, conditional: bool) -> dict[str, int]:
    """Two editors read, then write at once, again and again."""
    plural = {"study": "studies", "trial": "trials", "project": "projects", "round": "rounds"}[what]
    path, field = f"/api/v1/{plural}/{getattr(world, what)}", "conclusion" if what == "round" else "note"
    found = {"accepted": 0, "refused": 0, "silent_overwrites": 0}
    for turn in range(edits):
        seen = {"If-Match": site.get(path).headers["etag"]} if conditional else {}
        writes: list[tuple[str, str, dict[str, Any]]] = [
            ("PATCH", path, {"json": {field: f"{who} {turn}"}, "headers": seen}) for who in ("ada", "bob")
        ]
        answers = site.together(*writes)
        accepted = [answer.json()[field] for answer in answers if answer.status_code == 200]
        kept = ok(site.get(path))[field]
        found["accepted"] += len(accepted)
        found["refused"] += sum(answer.status_code == 412 for answer in answers)
        found["silent_overwrites"] += sum(text != kept for text in accepted)
    return found
