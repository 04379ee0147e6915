"""Reports as Markdown; as one HTML file they are pages."""

from tunebook_server.api.access import Database, Reader
from tunebook_server.api.route import router_of
from tunebook_server.api.schemas import Id
from tunebook_server.api.schemas.reports import ReportOut
from tunebook_server.services import reports
from tunebook_server.services.reports import Report

router = router_of("reports")


@router.get("/studies/{study_id}/report", operation_id="get_study_report", response_model=ReportOut)
def of_study(study_id: Id, engine: Database, _: Reader) -> Report:
    """The findings, conclusion and figures of a study, as Markdown."""
    return reports.of_study(engine, study_id=study_id)


@router.get("/rounds/{round_id}/report", operation_id="get_round_report", response_model=ReportOut)
def of_round(round_id: Id, engine: Database, _: Reader) -> Report:
    """The conclusion of a round and what each of its newest studies says, as Markdown."""
    return reports.of_round(engine, round_id=round_id)
