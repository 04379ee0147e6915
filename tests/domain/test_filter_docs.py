"""docs/filters.md names every field, operator and limit, and its examples can be read."""

import re
from pathlib import Path
from typing import get_args

from tunebook_server.domain.filters.check import read
from tunebook_server.domain.filters.parser import COMPARISONS_MOST, DEPTH_MOST
from tunebook_server.domain.filters.tree import STATES, TRIAL_FIELDS, Operator
from tunebook_server.domain.filters.words import LONGEST
from tunebook_server.domain.search_space import Categorical, Float, SearchSpace, When

TEXT = (Path(__file__).parents[2] / "docs/filters.md").read_text()
SPACE = SearchSpace(
    (
        Categorical("optimizer", ("sgd", "adam")),
        Float("learning_rate", 1e-4, 1.0),
        Float("momentum", 0.0, 0.99, when=When("optimizer", ("sgd",))),
        Categorical("batch_size", (32, 64)),
    )
)
_NOUNS = {"number": "a number", "text": "a text", "time": "a time"}


def rows(heading: str) -> list[list[str]]:
    """The cells of the table below a heading, without its own."""
    section = TEXT.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_every_field_is_described_by_what_it_holds() -> None:
    described = {name.strip("| `"): holds for name, holds in rows("Fields")}
    assert list(described) == list(TRIAL_FIELDS)
    for name, kind in TRIAL_FIELDS.items():
        if kind == "choice":
            assert re.findall(r"`(\w+)`", described[name]) == list(STATES)
        else:
            assert described[name].startswith(_NOUNS[kind])


def test_every_operator_and_limit_is_named() -> None:
    named = re.findall(r"`([^`]+)`", " ".join(row[0] for row in rows("Comparisons")))
    assert [name.removesuffix(" (…)") for name in named] == list(get_args(Operator))
    for limit in (f"{LONGEST:,} characters", f"{COMPARISONS_MOST} comparisons", f"{DEPTH_MOST} levels"):
        assert limit in TEXT


def test_the_examples_can_be_read() -> None:
    lines = TEXT.split("```")[1].strip().splitlines()
    inline = re.findall(r"`([^`]* [<>=]+ [^`]*)`", TEXT.split("```")[2])
    assert len(lines) == 3
    assert inline
    for line in (*lines, *inline):
        assert read(line, space=SPACE, metric="valid/error"), line
