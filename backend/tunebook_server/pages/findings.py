"""The findings of a study as cards: what is wrong first, what is fine last."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tunebook_server.domain.findings import Verdict
from tunebook_server.domain.findings.threshold import Threshold
from tunebook_server.domain.findings.thresholds import BY_NAME, THRESHOLDS, overridden
from tunebook_server.domain.study import Study
from tunebook_server.figures.labels import key_words
from tunebook_server.pages.rendering import address
from tunebook_server.storage.findings import Kept

ORDER = (Verdict.FAIL, Verdict.WARN, Verdict.NOT_ENOUGH_DATA, Verdict.PASS)
WORDS = {
    Verdict.FAIL: "fails",
    Verdict.WARN: "warning",
    Verdict.NOT_ENOUGH_DATA: "wants more data",
    Verdict.PASS: "passes",
}


@dataclass(frozen=True, slots=True)
class Card:
    """`evidence`: names and values; `draft` the address of the next study, empty where none is proposed."""

    key: str
    item: str
    subject: str
    conditions: Sequence[str]
    verdict: str
    words: str
    sentence: str
    evidence: Sequence[tuple[str, float | int | str | None]]
    trials: int
    figure: str
    draft: str
    draft_title: str


@dataclass(frozen=True, slots=True)
class Override:
    """A threshold that is not at its default in this study."""

    threshold: Threshold
    value: float


@dataclass(frozen=True, slots=True)
class Checklist:
    """`open`: what a person should read; `closed`: items that pass, or want more data."""

    open: Sequence[Card]
    closed: Sequence[Card]
    counts: Sequence[tuple[str, str]]
    """Verdicts, and "2 warnings"."""
    behind: bool
    """Newer results are not in them yet."""
    overrides: Sequence[Override]

    @property
    def silence(self) -> str:
        """What it means that nothing is open."""
        waiting = sum(card.verdict == Verdict.NOT_ENOUGH_DATA for card in self.closed)
        if waiting == len(self.closed):
            return "Too little data to say anything yet."
        if waiting:
            return "Nothing speaks against what this study shows so far; some items want more data."
        return "Nothing speaks against what this study shows."


def checklist(study: Study, kept: Kept | None) -> Checklist | None:
    if kept is None:
        return None
    cards = [_card(study, place, item) for place, item in enumerate(kept.items)]
    by_verdict = {verdict: [card for card in cards if card.verdict == verdict] for verdict in ORDER}
    return Checklist(
        open=[*by_verdict[Verdict.FAIL], *by_verdict[Verdict.WARN]],
        closed=[*by_verdict[Verdict.PASS], *by_verdict[Verdict.NOT_ENOUGH_DATA]],
        counts=verdict_counts({verdict: len(found) for verdict, found in by_verdict.items()}),
        behind=kept.revision < study.revision,
        overrides=[
            Override(BY_NAME[name], value)
            for item in THRESHOLDS
            for name, value in overridden(study.checks, item).items()
        ],
    )


def verdict_words(verdict: str) -> str:
    return WORDS[Verdict(verdict)]


def verdict_counts(counts: Mapping[str, int]) -> list[tuple[str, str]]:
    """Verdicts, the worst first, each with its count in words."""
    return [(str(verdict), _counted(verdict, counts[verdict])) for verdict in ORDER if counts.get(verdict)]


def _counted(verdict: Verdict, count: int) -> str:
    plural = {Verdict.FAIL: "fail", Verdict.WARN: "warnings", Verdict.NOT_ENOUGH_DATA: "want more data"}
    return f"{count} {WORDS[verdict] if count == 1 else plural.get(verdict, 'pass')}"


def _card(study: Study, place: int, item: Mapping[str, Any]) -> Card:
    figure, proposal = item["figure"], item["proposal"]
    name, conditions = key_words(item["subject"]) if item["subject"] else ("", ())
    return Card(
        key=str(place),
        item=item["item"],
        subject=name,
        conditions=conditions,
        verdict=item["verdict"],
        words=WORDS[Verdict(item["verdict"])],
        sentence=item["sentence"],
        evidence=[
            *((name.replace("_", " "), value) for name, value in item["evidence"].items()),
            *((f"threshold {name}", value) for name, value in item.get("thresholds", {}).items()),
        ],
        trials=item["trials"],
        figure=_figure(study, figure) if figure else "",
        draft=_draft(study, proposal["changes"]) if proposal else "",
        draft_title=proposal["title"] if proposal else "",
    )


def _figure(study: Study, figure: Mapping[str, Any]) -> str:
    return address(f"/api/v1/studies/{study.id}/figures/{figure['kind']}", **figure["options"])


def _draft(study: Study, changes: Sequence[Mapping[str, Any]]) -> str:
    path = f"/projects/{study.project_id}/studies/new"
    query = {"mode": "form", "from": str(study.id), "changes": json.dumps(changes, separators=(",", ":"))}
    return address(path, **query)
