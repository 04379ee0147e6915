"""The table of rates in docs/findings.md has the items and labels of the registry."""

import re
from pathlib import Path

from benchmarks.findings_rates import HEAD, table
from tests.findings.labels.case import Label
from tests.findings.labels.rates import Rate
from tunebook_server.domain.findings import CHECKLIST

DOCS = Path(__file__).parents[2] / "docs" / "findings.md"


def test_the_table_has_every_item_and_every_label() -> None:
    found = re.search(r"<!-- rates -->\n(.*?)\n<!-- end of rates -->", DOCS.read_text(), re.DOTALL)
    assert found is not None
    rows = [line.strip("| ").split(" | ") for line in found[1].splitlines()]
    assert tuple(rows[0]) == HEAD
    assert [row[0] for row in rows[2:]] == list(CHECKLIST)
    assert all(len(row) == len(HEAD) and all(row) for row in rows)
    assert {head.partition(":")[0] for head in HEAD[1:]} == set(Label)


def test_the_script_writes_such_a_table() -> None:
    found = {(item, label): Rate(asked=20, right=19, alarms=1) for item in CHECKLIST for label in Label}
    rows = table(list(CHECKLIST), found)
    assert len(rows) == 2 + len(CHECKLIST)
    assert rows[2].startswith("| boundary | 95.0 % (19/20; 76.4–99.1 %) |")
