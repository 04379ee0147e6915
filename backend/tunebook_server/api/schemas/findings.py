"""Shapes of findings."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from tunebook_server.api.schemas import Sent

VerdictWord = Literal["pass", "warn", "fail", "not_enough_data"]


class FigureShown(Sent):
    kind: str = Field(examples=["axis"])
    options: dict[str, str] = Field(examples=[{"parameter": "learning_rate"}])


class ProposalOut(Sent):
    """`changes` make the next study out of this one."""

    title: str = Field(examples=["Widen learning_rate to 1e-05 … 1"])
    changes: list[dict[str, Any]] = Field(
        examples=[[{"change": "range", "key": "learning_rate", "low": 1e-5, "high": 1.0}]]
    )


class FindingOut(Sent):
    """`subject`: the hyperparameter's key or the scientific value that it is about, empty for the study;
    `trials`: how many it rests on; NaN and infinities among the evidence travel as strings.
    """

    item: str = Field(examples=["boundary"])
    subject: str
    verdict: VerdictWord
    sentence: str
    evidence: dict[str, float | int | str | None]
    trials: int
    figure: FigureShown | None
    thresholds: dict[str, float] = Field(
        default={}, description="Those of this item that the study overrides, and their values."
    )
    proposal: ProposalOut | None


class FindingsOut(Sent):
    """`revision`: of the study whose data they rest on; null before the first were computed."""

    revision: int | None
    computed_at: datetime | None
    items: list[FindingOut]
