"""How often the findings of labelled studies are right, and how often they alarm: a Markdown table.

    python -m benchmarks.findings_rates [--seeds 100] [--first-seed 10001] [--items boundary sampling ...]

`--seeds`: studies an item, label and noise level; the generators of `tests/findings/labels` take turns. The
tests use seeds up to 10,000; 100 here take about three minutes of processor time. In brackets are the counts
and the 95 % interval (Wilson). Generators that were wrong go to stderr, with how often.
"""

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from tests.findings.labels.case import Label
from tests.findings.labels.rates import Rate, rate
from tests.findings.labels.registry import drawn
from tunebook_server.domain.findings import CHECKLIST
from tunebook_server.domain.findings.statistics import wilson

PROCESSES = 2
HEAD = (
    "item",
    f"{Label.POSITIVE}: right",
    f"{Label.NEGATIVE}: right",
    f"{Label.NEGATIVE}: alarms",
    f"{Label.BORDERLINE}: alarms",
    f"{Label.TOO_LITTLE}: right",
    f"{Label.HOSTILE}: errors",
)
Key = tuple[str, Label]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--first-seed", type=int, default=10_001)
    parser.add_argument("--items", nargs="+", default=list(CHECKLIST), choices=list(CHECKLIST))
    arguments = parser.parse_args()
    keys = [(item, label) for item in arguments.items for label in Label]
    ask = partial(asked, seeds=arguments.seeds, first=arguments.first_seed)
    with ProcessPoolExecutor(PROCESSES) as processes:
        found = dict(zip(keys, processes.map(ask, keys), strict=True))
    print("\n".join(table(arguments.items, found)))
    for each in found.values():
        for name, count in each.wrong.items():
            print(f"{count} wrong: {name}", file=sys.stderr)


def asked(key: Key, *, seeds: int, first: int) -> Rate:
    return rate(drawn(*key, seeds=seeds, first=first))


def table(items: Sequence[str], found: dict[Key, Rate]) -> list[str]:
    rows = [list(HEAD), ["---"] * len(HEAD)]
    for item in items:
        positive, negative, borderline, little, hostile = (found[item, label] for label in Label)
        rows.append(
            [
                item,
                share(positive.right, positive.asked),
                share(negative.right, negative.asked),
                share(negative.alarms, negative.asked),
                f"{100 * borderline.alarms / borderline.asked:.0f} % of {borderline.asked:,}",
                f"{little.right:,} of {little.asked:,}",
                f"{hostile.errors} of {hostile.asked}",
            ]
        )
    return [f"| {' | '.join(row)} |" for row in rows]


def share(count: int, of: int) -> str:
    low, high = wilson(count, of)
    return f"{100 * count / of:.1f} % ({count:,}/{of:,}; {100 * low:.1f}–{100 * high:.1f} %)"


if __name__ == "__main__":
    main()
