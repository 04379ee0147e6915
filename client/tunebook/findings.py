"""Findings of a study as they are read: the worst first, a table in a notebook and in a terminal."""

import time
from collections.abc import Iterable
from html import escape
from typing import Any

from tunebook.api import Api

POLL_SECONDS = 0.5
VERDICTS = ("fail", "warn", "not_enough_data", "pass")  # the worst first
MARKS = {"fail": "✗ fail", "warn": "! warn", "not_enough_data": "… more data", "pass": "✓ pass"}
HEADS = ("VERDICT", "ITEM", "FINDING")

Finding = dict[str, Any]


class Findings(list[Finding]):
    """A list of findings, each a dict; `print` shows them as a table, and so does a notebook."""

    def __init__(
        self, items: Iterable[Finding] = (), *, revision: int | None = None, is_current: bool = True
    ) -> None:
        super().__init__(items)
        self.revision = revision
        """Of the study, as they have seen it; None where the server has not looked yet."""
        self.is_current = is_current
        """They have seen all that there was when they were asked for."""

    def __str__(self) -> str:
        from tunebook.cli.terminal import table

        shown = table(HEADS, [_words(item) for item in ordered(self)])
        return shown if self.is_current else f"{shown}\n{self._caveat()}"

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{word.capitalize()}</th>" for word in HEADS)
        rows = "".join(f"<tr>{''.join(map(_cell, _words(item)))}</tr>" for item in ordered(self))
        caveat = "" if self.is_current else f"<p>{self._caveat()}</p>"
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{caveat}"

    def _caveat(self) -> str:
        return (
            "The server has not looked at this study yet."
            if self.revision is None
            else f"The study has changed since: these are the findings of its revision {self.revision}."
        )


def wait_for_findings(api: Api, study: dict[str, Any], *, timeout_seconds: float) -> dict[str, Any] | None:
    """The findings that have seen all of a study as it is now; None when they do not come in time."""
    end = time.monotonic() + timeout_seconds
    while True:
        found: dict[str, Any] = api.get(f"/studies/{study['id']}/findings")
        if found["revision"] is not None and found["revision"] >= study["revision"]:
            return found
        if time.monotonic() > end:
            return None
        time.sleep(POLL_SECONDS)


def ordered(items: Iterable[Finding]) -> list[Finding]:
    """The worst first, else in order of the checklist."""
    return sorted(items, key=lambda item: VERDICTS.index(item["verdict"]))


def title(item: Finding) -> str:
    """`boundary: learning_rate`, or the item alone where it speaks of the whole study."""
    return f"{item['item']}: {item['subject']}" if item["subject"] else str(item["item"])


def _words(item: Finding) -> tuple[str, str, str]:
    return MARKS[item["verdict"]], title(item), item["sentence"]


def _cell(word: str) -> str:
    return f'<td style="text-align: left">{escape(word)}</td>'
