"""Writes what a soak measured into its table: `python -m tests.promises.table FIGURES [PAGE]`.

A promise that this run did not measure keeps its row, with its own date.
"""

import os
import re
import sys
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

from tests.promises.record import Record, read

PAGE = Path(__file__).parents[2] / "docs/reliability.md"
BEGIN, END = "<!-- soak: begin -->", "<!-- soak: end -->"
HEAD = (
    "| promise | tier | measured on | took | measured | control |",
    "| --- | --- | --- | --- | --- | --- |",
)


def main() -> None:
    figures, page = Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else PAGE
    records = read(figures)
    page.write_text(rendered(page.read_text(encoding="utf-8"), records), encoding="utf-8")
    for record in records:
        print(
            record.line() if not record.failed else f"{record.promise} {record.tier}: {record.failed} FAILED"
        )


def rendered(page: str, records: Iterable[Record]) -> str:
    """The page with the rows of these promises in place of the ones they had."""
    before, rest = page.split(BEGIN)
    old, after = rest.split(END)
    rows = {found[1]: line for line in old.splitlines() if (found := re.match(r"\| (R\d+|storm) \|", line))}
    ordered = sorted(records, key=lambda record: _order(record.promise))
    rows |= {promise: _row(list(found)) for promise, found in groupby(ordered, lambda record: record.promise)}
    lines = [rows[promise] for promise in sorted(rows, key=_order)]
    return "\n".join([before + BEGIN, *HEAD, *lines, END + after])


def _row(records: list[Record]) -> str:
    promise, tier = records[0].promise, records[0].tier
    measured = [Record("", "", record.measured).line().removeprefix(" : ") for record in records]
    measured += [f"**{record.failed} failed**" for record in records if record.failed]
    cells = [
        promise,
        tier,
        f"{records[-1].at}, {os.cpu_count()} cores",
        f"{sum(record.seconds for record in records):,.0f} s",
        "; ".join(filter(None, measured)),
        "; ".join(record.control for record in records if record.control),
    ]
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _order(promise: str) -> int:
    return int(promise.removeprefix("R")) if promise.startswith("R") else 1000


if __name__ == "__main__":
    main()
