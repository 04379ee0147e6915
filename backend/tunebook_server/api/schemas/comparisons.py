"""Shapes of a comparison of studies."""

from pydantic import Field

from tunebook_server.api.schemas import Number, Sent
from tunebook_server.api.schemas.findings import VerdictWord


class ComparedBestOut(Sent):
    trial_id: int
    number: int
    objective: Number


class ComparedStudyOut(Sent):
    """`name` tells it apart from the others; `findings`: verdicts of its checklist by word, null before the
    first."""

    id: int
    name: str = Field(examples=["adam"])
    state: str
    trials: int
    feasible: int
    infeasible: int
    best: ComparedBestOut | None
    findings: dict[str, int] | None = Field(examples=[{"pass": 6, "warn": 1}])


class FairnessCheckOut(Sent):
    """One question about fairness; `evidence`: what the answer rests on, by name."""

    item: str = Field(examples=["nuisance"])
    verdict: VerdictWord
    sentence: str
    evidence: dict[str, float | int | str | None]


class DesignRowOut(Sent):
    """A part of the designs that differs; `cells`: one a study, null where it has no such thing."""

    field: str = Field(examples=["optimizer"])
    cells: list[str | None] = Field(examples=[["sgd, fixed", "adam, fixed"]])


class IsolatedStudyOut(Sent):
    """The best of one study at the matched number of trials, with the ends of its 95 % interval."""

    study_id: int
    trials: int
    infeasible: int
    best: Number | None
    low: Number | None
    high: Number | None
    trial_id: int | None
    wins: bool


class IsolationOut(Sent):
    """`matched`: the number of trials at which all are compared, 0 where fewer than two can be."""

    matched: int
    sentence: str
    studies: list[IsolatedStudyOut]


class ComparisonOut(Sent):
    """`verdict`: the worst of the checks; `by`: the key that tells the studies apart, "study" for their
    names; `isolation` null where the studies measure different things."""

    verdict: VerdictWord
    sentence: str = Field(examples=["Fair with reservations: trials, sampling."])
    by: str
    studies: list[ComparedStudyOut]
    checks: list[FairnessCheckOut]
    differences: list[DesignRowOut]
    isolation: IsolationOut | None
