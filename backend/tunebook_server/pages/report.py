"""The report of a study or of a round: one HTML file, figures included, that needs no network."""

import re

from fastapi import APIRouter, Response

from tunebook_frontend import static_folder
from tunebook_server.pages import assets
from tunebook_server.pages.findings import checklist
from tunebook_server.pages.rendering import fragment
from tunebook_server.pages.rounds import Id
from tunebook_server.pages.route import Database, PageRoute, Person
from tunebook_server.services import reports
from tunebook_server.services.reports import Report

router = APIRouter(route_class=PageRoute)


@router.get("/studies/{study_id}/report.html")
def of_study(study_id: Id, engine: Database, _: Person) -> Response:
    """Everything that the study says, to keep, to send, and to read in ten years."""
    report = reports.of_study(engine, study_id=study_id)
    return _file(report, f"{_plain(report.chapters[0].study.name)}-{study_id}.html")


@router.get("/rounds/{round_id}/report.html")
def of_round(round_id: Id, engine: Database, _: Person) -> Response:
    """The round's conclusion, and what each of its studies says."""
    report = reports.of_round(engine, round_id=round_id)
    assert report.round is not None
    return _file(report, f"round-{_plain(report.round.name)}-{round_id}.html")


def _file(report: Report, name: str) -> Response:
    content = fragment(
        "report.html",
        report=report,
        checklists={each.study.id: checklist(each.study, each.kept) for each in report.chapters},
        in_script=_in_script,
        style="".join((static_folder / "css" / name).read_text() for name in ("tokens.css", "pages.css")),
        colors=(static_folder / "js" / "colors.js").read_text(),
        plotly=assets.plotly_source(),
    )
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type="text/html", headers=headers)


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")[:60] or "report"


def _in_script(document: str) -> str:
    """JSON that cannot end the element it stands in, whatever a label holds."""
    return document.replace("<", "\\u003c")
