"""A labelled study: made by a generator that knows the answer, so that what a finding says can be judged."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from tests.findings.studies import only
from tunebook_server.domain.findings import CHECKLIST, Finding, Results, Verdict

Make = Callable[[float, int], Results]
"""The study of a noise level and a seed."""
Right = Callable[[Finding], bool]


class Label(StrEnum):
    POSITIVE = "clean positive"
    NEGATIVE = "clean negative"
    BORDERLINE = "borderline"
    TOO_LITTLE = "too little data"
    HOSTILE = "hostile data"


@dataclass(frozen=True, slots=True)
class Case:
    """`level` counts the noise levels of an item from the lowest; `right` holds for the findings that the
    label allows."""

    item: str
    label: Label
    name: str
    level: int
    noise: float
    make: Make
    right: Right
    subject: str

    def results(self, seed: int) -> Results:
        return self.make(self.noise, seed)

    def ask(self, seed: int) -> Finding:
        return only(CHECKLIST[self.item](self.results(seed)), self.subject)

    def __str__(self) -> str:
        return f"{self.item}: {self.label}, {self.name}, noise {self.noise:g}"


def says(*verdicts: Verdict, words: str = "") -> Right:
    return lambda finding: finding.verdict in verdicts and words in finding.sentence


WARNS = says(Verdict.WARN)
FAILS = says(Verdict.FAIL)
PASSES = says(Verdict.PASS)
NOT_ENOUGH = says(Verdict.NOT_ENOUGH_DATA)
NO_ALARM = says(Verdict.PASS, Verdict.NOT_ENOUGH_DATA)
ANY = says(*Verdict)


def cases(
    item: str,
    label: Label,
    makes: Mapping[str, Make],
    noises: Sequence[float],
    right: Right,
    *,
    subject: str = "",
) -> list[Case]:
    """Every generator at every noise level."""
    return [
        Case(item, label, name, level, noise, make, right, subject)
        for name, make in makes.items()
        for level, noise in enumerate(noises)
    ]
