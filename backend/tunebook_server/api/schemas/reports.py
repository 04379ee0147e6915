"""Shapes of reports."""

from typing import Any

from pydantic import Field, model_validator

from tunebook_server.api.schemas import Sent
from tunebook_server.services import report_text
from tunebook_server.services.reports import Report


class PictureOut(Sent):
    """A figure that the text calls as a file of this `name`; `GET /studies/{study_id}/figures/{kind}` with
    these options gives it."""

    name: str = Field(examples=["study-1-01-axis.png"])
    title: str
    study_id: int
    kind: str = Field(examples=["axis"])
    options: dict[str, str] = Field(examples=[{"parameter": "learning_rate"}])


class ReportOut(Sent):
    """`markdown`: CommonMark with tables, its figures pictures in the same folder."""

    title: str
    markdown: str
    figures: list[PictureOut]

    @model_validator(mode="before")
    @classmethod
    def of(cls, report: Any) -> Any:
        if not isinstance(report, Report):
            return report
        figures = [
            {**{name: getattr(picture, name) for name in PictureOut.model_fields}, "name": picture.file}
            for chapter in report.chapters
            for picture in chapter.pictures
        ]
        return {
            "title": report_text.title(report),
            "markdown": report_text.markdown(report),
            "figures": figures,
        }
