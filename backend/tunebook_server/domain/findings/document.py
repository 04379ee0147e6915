"""The JSON form of findings."""

from collections.abc import Mapping
from typing import Any

from tunebook_server.domain import changes
from tunebook_server.domain.findings.finding import Evidence, Finding
from tunebook_server.domain.findings.thresholds import overridden
from tunebook_server.domain.numbers import encode


def document(finding: Finding, checks: Mapping[str, float]) -> dict[str, Any]:
    """What is kept and sent: NaN and the infinities as their words. `checks`: what the study overrides."""
    figure, proposal = finding.figure, finding.proposal
    return {
        "item": finding.item,
        "subject": finding.subject,
        "verdict": str(finding.verdict),
        "sentence": finding.sentence,
        "evidence": _evidence(finding.evidence),
        "trials": finding.trials,
        "figure": figure and {"kind": figure.kind, "options": dict(figure.options)},
        "thresholds": overridden(checks, finding.item),
        "proposal": proposal and {"title": proposal.title, "changes": changes.document(proposal.changes)},
    }


def _evidence(evidence: Mapping[str, Evidence]) -> dict[str, Evidence]:
    return {name: encode(value) if isinstance(value, float) else value for name, value in evidence.items()}
