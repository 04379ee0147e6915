"""WCAG 2.2 AA by axe: no serious violation on any page, light, dark and narrow."""

import json
from collections.abc import Callable
from importlib import resources

import pytest

from tests.browser.window import Site, Visit
from tunebook_server.services import findings, trials

pytestmark = pytest.mark.browser

AXE = (resources.files("axe_playwright_python") / "axe.min.js").read_text()
LEVELS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
SERIOUS = """(levels) => axe.run(document, {runOnly: {type: "tag", values: levels}}).then(
    (found) => found.violations
        .filter(({impact}) => impact === "serious" || impact === "critical")
        .map(({id, nodes}) => `${id}: ${nodes.slice(0, 3).map(({html}) => html.slice(0, 160))}`))"""

OPEN_LAST = "[...document.querySelectorAll('details')].forEach((each) => { each.open = true; })"
"""All of them; of menus side by side, which close one another, the last."""
OPEN_FIRST = OPEN_LAST.replace("].forEach", "].reverse().forEach")


@pytest.mark.parametrize(
    ("width", "dark"), [(1280, False), (1280, True), (400, False)], ids=["light", "dark", "narrow"]
)
def test_no_page_shuts_anybody_out(site: Site, visit: Callable[..., Visit], width: int, dark: bool) -> None:
    window = visit(dark=dark, width=width)
    study_id = site.studies[48]
    findings.refresh(site.engine, study_id=study_id)
    row, other = trials.page(site.engine, study_id=study_id, limit=2).items
    paths = [
        "/",
        "/projects/1",
        "/projects/1/studies/new?mode=form",
        f"/projects/1/studies/new?mode=toml&from={study_id}",
        f"/rounds/{site.round}",
        f"/studies/{study_id}",
        f"/studies/{site.studies[0]}",
        f"/studies/{study_id}/plots?selected={row.trial.id},{row.trial.id + 1}",
        f"/studies/{study_id}/trials?filter=state+=+completed",
        f"/studies/{study_id}/trials?filter=wrong",
        f"/trials/{row.trial.id}",
        f"/trials/{row.trial.id}/log",
        f"/compare?trials={row.trial.id},{other.trial.id}",
        f"/compare?studies={study_id},{site.studies[1]}",
        "/compare",
        "/workers",
        "/login",
    ]
    found = {}
    for path in paths:
        page = window.open(path)
        page.evaluate(AXE)
        for opened in (OPEN_LAST, OPEN_FIRST):
            page.evaluate(opened)
            violations = page.evaluate(SERIOUS, LEVELS)
            if violations:
                found[path] = violations
    assert found == {}, json.dumps(found, indent=1)
