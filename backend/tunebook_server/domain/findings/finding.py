"""A finding: what one item of the checklist says of a study, and what it rests on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from tunebook_server.domain.changes import Change

Evidence = float | int | str | None


class Verdict(StrEnum):
    PASS = "pass"  # noqa: S105
    WARN = "warn"
    FAIL = "fail"
    NOT_ENOUGH_DATA = "not_enough_data"


@dataclass(frozen=True, slots=True)
class Shown:
    """The figure that shows it: a kind of the catalogue and its options."""

    kind: str
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A draft of the next study, as changes to this one's design; `title` is the words on its button."""

    title: str
    changes: Sequence[Change]


@dataclass(frozen=True, slots=True)
class Finding:
    """`sentence` is what a colleague would say; `evidence` the numbers by name, in reading order; `subject`
    the key of a hyperparameter or the scientific value that it is about, empty for the whole study; `trials`
    how many trials it rests on.
    """

    item: str
    verdict: Verdict
    sentence: str
    evidence: Mapping[str, Evidence]
    trials: int
    subject: str = ""
    figure: Shown | None = None
    proposal: Proposal | None = None


def not_enough(item: str, have: int, need: int, noun: str, *, subject: str = "") -> Finding:
    """Says how much more is wanted; the plural of "trial with a curve" is "trials with a curve"."""
    more = need - have
    head, mark, rest = noun.partition(" with ")
    sentence = f"{more} more {head}{'' if more == 1 else 's'}{mark}{rest} needed ({have} of {need})."
    return Finding(
        item, Verdict.NOT_ENOUGH_DATA, sentence, {"have": have, "need": need}, trials=have, subject=subject
    )
