"""The items of the checklist, in the order in which a person should read them."""

from collections.abc import Callable, Mapping

from tunebook_server.domain.findings import boundary
from tunebook_server.domain.findings.finding import Finding
from tunebook_server.domain.findings.results import Results

CHECKLIST: Mapping[str, Callable[[Results], list[Finding]]] = {
    boundary.ITEM: boundary.check,
}


def check(results: Results) -> list[Finding]:
    """Every finding of a study, item after item."""
    return [finding for item in CHECKLIST.values() for finding in item(results)]
