"""Findings of a study as they are read: the worst first, a table in a notebook and in a terminal."""

from collections.abc import Iterable
from html import escape
from typing import Any

VERDICTS = ("fail", "warn", "not_enough_data", "pass")  # the worst first
MARKS = {"fail": "✗ fail", "warn": "! warn", "not_enough_data": "… more data", "pass": "✓ pass"}
HEADS = ("VERDICT", "ITEM", "FINDING")

Finding = dict[str, Any]


class Findings(list[Finding]):
    """A list of findings, each a dict; `print` shows them as a table, and so does a notebook."""

    def __str__(self) -> str:
        from tunebook.cli.terminal import table

        return table(HEADS, [_words(item) for item in ordered(self)])

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{word.capitalize()}</th>" for word in HEADS)
        rows = "".join(f"<tr>{''.join(map(_cell, _words(item)))}</tr>" for item in ordered(self))
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


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
