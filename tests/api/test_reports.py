"""Reports as Markdown over HTTP: complete, bounded, and words alone whatever people wrote."""

from typing import Any

from markdown_it import MarkdownIt

from tests.api.site import DESIGN, Site, World, created, ok, problem
from tests.browser.test_hostile import PAYLOADS
from tunebook_server.services import findings

MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])
KINDS = {
    *("heading", "paragraph", "bullet_list", "list_item", "table", "thead", "tbody", "tr", "th", "td"),
    *("inline", "text", "strong", "hardbreak", "image"),
}
"""All that a report is made of."""


def tokens(source: str) -> list[Any]:
    return [each for token in MARKDOWN.parse(source) for each in (token, *(token.children or []))]


def test_a_report_of_a_study_has_its_figures_findings_and_caveats(site: Site, world: World) -> None:
    findings.refresh(site.engine, study_id=world.study)
    ok(site.patch(f"/api/v1/studies/{world.study}", {"conclusion": "Adam.\nSurely."}))
    report = ok(site.get(f"/api/v1/studies/{world.study}/report"))
    assert report["title"] == "optimizer"
    text = report["markdown"]
    assert text.startswith("# optimizer\n")
    assert "## Conclusion\n\nAdam.\\\nSurely." in text
    assert "- learning\\_rate within 0.0001 … 1 \\(log\\)" in text
    assert "| … wants more data | " in text
    names = [figure["name"] for figure in report["figures"]]
    assert names[0] == f"study-{world.study}-01-axis.png"
    pictures = [token.attrs["src"] for token in tokens(text) if token.type == "image"]
    assert pictures == names
    assert len(set(names)) == len(names) == 7
    for figure in report["figures"]:
        path = f"/api/v1/studies/{figure['study_id']}/figures/{figure['kind']}"
        assert ok(site.get(path, params={**figure["options"], "theme": "light"}))["layout"]


def test_a_report_of_a_round_says_what_it_leaves_out(site: Site, world: World) -> None:
    path = f"/api/v1/projects/{world.project}/studies"
    made = [
        created(site.post(path, {**DESIGN, "name": f"study {number}", "round": world.round}))["id"]
        for number in range(14)
    ]
    ok(site.patch(f"/api/v1/rounds/{world.round}", {"goal": "Which?", "conclusion": "None."}))
    report = ok(site.get(f"/api/v1/rounds/{world.round}/report"))
    text = report["markdown"]
    headings = [line for line in text.splitlines() if line.startswith("## ")]
    shown = [f"## study {number} (study {made[number]})" for number in range(2, 14)]
    assert headings == ["## Conclusion", "## Studies", *shown]
    assert "Older studies left out: 2." in text
    assert text.count("- optimizer among 'sgd', 'adam'") == 1 + len(shown)
    assert {figure["study_id"] for figure in report["figures"]} == set(made[2:])
    problem(site.get("/api/v1/rounds/987654/report"), 404)


def test_nothing_that_people_wrote_becomes_markdown(site: Site, world: World) -> None:
    words = "\n".join((*PAYLOADS, "# heading", "| a | b |", "---", "[link](https://evil.example)", "```"))
    parent = {"name": "choice", "type": "categorical", "choices": [*PAYLOADS, "`|*"], "role": "scientific"}
    rate = {"name": "rate", "type": "float", "low": 0, "high": 1, "when": {"choice": ["`|*"]}}
    design = {**DESIGN, "name": PAYLOADS[0], "goal": words, "space": [parent, rate], "round": world.round}
    design["objective"] = {"metric": "<b>|`error`"}
    study = created(site.post(f"/api/v1/projects/{world.project}/studies", design))["id"]
    ok(site.patch(f"/api/v1/studies/{study}", {"conclusion": words}))
    ok(site.patch(f"/api/v1/rounds/{world.round}", {"name": PAYLOADS[4], "goal": words, "conclusion": words}))
    (claim,) = ok(site.post(f"/api/v1/studies/{study}/trials:ask", {"client_id": "x"}))["trials"]
    site.tokens["x"] = claim["token"]
    series = {"<b>|`error`": {"step": [1], "value": [0.5]}}
    batch = {"epoch": 1, "sequence": 0, "series": series}
    ok(site.post(f"/api/v1/trials/{claim['trial']['id']}:report", batch, by="x"))
    findings.refresh(site.engine, study_id=study)
    for path in (f"/api/v1/studies/{study}/report", f"/api/v1/rounds/{world.round}/report"):
        report = ok(site.get(path))
        found = tokens(report["markdown"])
        kinds = {token.type.removesuffix("_open").removesuffix("_close") for token in found}
        assert kinds <= KINDS
        assert {token.attrs["src"] for token in found if token.type == "image"} == {
            figure["name"] for figure in report["figures"]
        }
