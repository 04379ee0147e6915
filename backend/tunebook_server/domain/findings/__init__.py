"""The checklist: what a study says of itself, one file an item (Deep Learning Tuning Playbook)."""

from tunebook_server.domain.findings.checklist import CHECKLIST
from tunebook_server.domain.findings.finding import Finding, Proposal, Shown, Verdict
from tunebook_server.domain.findings.results import Results

__all__ = ["CHECKLIST", "Finding", "Proposal", "Results", "Shown", "Verdict"]
