"""`tunebook study check`: the findings of a study as a table, for a person or for CI."""

import json
from collections.abc import Sequence
from typing import Any
from xml.sax.saxutils import quoteattr

from tunebook.api import Api
from tunebook.cli.terminal import clean
from tunebook.findings import VERDICTS, Findings, title

FAIL_ON = {"fail": VERDICTS[:1], "warn": VERDICTS[:2], "never": ()}
LEVELS = {"fail": "error", "warn": "warning", "not_enough_data": "none", "pass": "none"}  # as in SARIF
KINDS = {"not_enough_data": "open", "pass": "pass"}

Items = Sequence[dict[str, Any]]


def as_table(items: Items) -> str:
    return str(Findings(items))


def as_junit(study: dict[str, Any], items: Items) -> str:
    """JUnit XML: an item a test case; warnings and failures fail, what wants more data is skipped."""
    counts = [item["verdict"] for item in items]
    failures = counts.count("fail") + counts.count("warn")
    cases = "".join(_case(study, item) for item in items)
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<testsuite name={quoteattr(clean(study["name"]))} '
        f'tests="{len(items)}" failures="{failures}" skipped="{counts.count("not_enough_data")}">\n'
        f"{cases}</testsuite>"
    )


def as_sarif(api: Api, study: dict[str, Any], items: Items) -> str:
    """SARIF 2.1.0: an item a rule, a finding a result that points to the study's page."""
    where = [{"physicalLocation": {"artifactLocation": {"uri": f"{api.url}/studies/{study['id']}"}}}]
    results = [
        {
            "ruleId": item["item"],
            "level": LEVELS[item["verdict"]],
            "kind": "pass"
            if item["verdict"] == "pass"
            else "open"
            if item["verdict"] == "not_enough_data"
            else "fail",
            "message": {"text": f"{title(item)}: {item['sentence']}"},
            "locations": where,
            "properties": item["evidence"],
        }
        for item in items
    ]
    rules = [{"id": name} for name in dict.fromkeys(item["item"] for item in items)]
    run = {"tool": {"driver": {"name": "Tunebook", "rules": rules}}, "results": results}
    return json.dumps({"version": "2.1.0", "runs": [run]}, indent=1)


def _case(study: dict[str, Any], item: dict[str, Any]) -> str:
    name, kind = quoteattr(clean(title(item))), quoteattr(clean(f"study {study['id']}"))
    message = quoteattr(clean(item["sentence"]))
    inside = {
        "pass": "",
        "not_enough_data": f"<skipped message={message}/>",
        "warn": f'<failure type="warn" message={message}/>',
        "fail": f'<failure type="fail" message={message}/>',
    }[item["verdict"]]
    return f"  <testcase classname={kind} name={name}>{inside}</testcase>\n"
