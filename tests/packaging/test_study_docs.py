"""docs/study.md has every key that the parsers know and no other, and its example is a study."""

import re
import tomllib
from pathlib import Path

import pytest

from tunebook import design
from tunebook_server.domain import resources, study_limits, study_parts
from tunebook_server.domain.document import Document
from tunebook_server.domain.errors import Invalid
from tunebook_server.domain.findings.thresholds import BY_NAME
from tunebook_server.domain.hyperparameter_document import _KEYS as KINDS
from tunebook_server.domain.resources import Resources
from tunebook_server.domain.samplers import SAMPLERS, automatic
from tunebook_server.domain.schedulers import SCHEDULERS
from tunebook_server.domain.search_space_schema import PARAMETERS_MOST
from tunebook_server.domain.study import StudyDesign
from tunebook_server.services import templates
from tunebook_server.services.studies import EDITABLE

TEXT = (Path(__file__).parents[2] / "docs/study.md").read_text()
EXAMPLE = tomllib.loads(TEXT.split("```toml\n")[1].split("```")[0])
READ = {"objective": "Objective", "budget": "Budget", "sampler": "Sampler", "scheduler": "Scheduler"}
READ |= {"checkpoints": "Checkpoints", "constraints.0": "Constraints", "": "The study"}


def section(heading: str) -> str:
    return TEXT.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def tables(heading: str) -> list[list[list[str]]]:
    """Of each table of a section the rows, without its head."""
    found = re.findall(r"^\| key .*\n\| ---.*\n((?:\|.*\n?)+)", section(heading), re.MULTILINE)
    return [
        [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines()]
        for table in found
    ]


def keys(heading: str, place: int = 0) -> list[str]:
    return [row[0].strip("| `") for row in tables(heading)[place]]


def by_kind(heading: str, place: int, kinds: list[str]) -> dict[str, set[str]]:
    """By the names in the second column, the keys that they have."""
    rows = tables(heading)[place]
    return {
        kind: {row[0].strip("| `") for row in rows if f"`{kind}`" in row[1] or row[1] == "all"}
        for kind in kinds
    }


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> dict[str, set[str]]:
    """By field, the keys that a parser takes there."""
    found: dict[str, set[str]] = {}
    whole = Document.only

    def only(part: Document, *names: str) -> None:
        found.setdefault(part.field, set()).update(names)
        whole(part, *names)

    monkeypatch.setattr(Document, "only", only)
    return found


def test_every_key_that_a_parser_knows_is_described_and_no_other(known: dict[str, set[str]]) -> None:
    with pytest.raises(Invalid):
        StudyDesign.parse({"constraints": [{}]})
    for field, heading in READ.items():
        assert sorted(keys(heading)) == sorted(known[field]), heading


def test_every_key_of_a_hyperparameter_is_described_for_its_types() -> None:
    common = {"name", "type", "role", "when"}
    assert by_kind("Space", 0, list(KINDS)) == {kind: common | set(own) for kind, own in KINDS.items()}


@pytest.mark.parametrize(("heading", "kinds"), [("Sampler", SAMPLERS), ("Scheduler", SCHEDULERS)])
def test_every_option_is_described_for_those_that_have_it(heading: str, kinds: dict[str, type]) -> None:
    own = {name: {option.name for option in kind.options} for name, kind in kinds.items()}  # type: ignore[attr-defined]
    assert by_kind(heading, 1, list(kinds)) == own
    named = next(row for row in tables(heading)[0] if row[0].strip("| `") == "name")[1]
    assert set(re.findall(r"`(\w+)`", named)) - {automatic.AUTO} == set(kinds)
    defaults = {
        option.name: option.default
        for kind in kinds.values()
        for option in kind.options  # type: ignore[attr-defined]
    }
    for row in tables(heading)[1]:
        default = defaults[row[0].strip("| `")]
        said = row[-1].strip("| `")
        assert said == {None: "must be given", "": "none"}.get(default, str(default)), row


def test_every_key_of_a_job_is_described(known: dict[str, set[str]]) -> None:
    assert sorted(keys("Job")) == sorted(design._JOB_KEYS) == sorted(("template", *study_parts.TEMPLATE_KEYS))
    Resources.read(Document({}, field="resources", faults=[]))
    assert sorted(keys("Job", 1)) == sorted(known["resources"])


def test_the_bounds_are_those_of_the_code() -> None:
    for heading, bounds in {
        "The study": (study_limits.NAME_LONGEST, study_limits.TEXT_LONGEST, PARAMETERS_MOST),
        "Budget": (study_limits.TRIALS_MOST, study_limits.PARALLEL_MOST, study_limits.ATTEMPTS_MOST),
        "Job": (
            *(templates.WORDS_MOST, templates.DEADLINE_MOST, resources.PROCESSES_MOST),
            *(resources.GPUS_MOST, resources.CPUS_MOST, resources.LABELS_MOST),
        ),
    }.items():
        for bound in bounds:
            assert re.search(rf"\b{bound:,}\b", section(heading)), (heading, bound)


def test_what_can_be_changed_later_is_named() -> None:
    assert set(EDITABLE) <= set(re.findall(r"`(\w+)`", section("What can be changed later")))


def test_the_example_is_a_study_with_every_part_of_one(tmp_path: Path) -> None:
    plan = design.plan(EXAMPLE, beside=tmp_path)
    assert plan.template is not None
    made = StudyDesign.parse(plan.design)
    assert made.budget == EXAMPLE["budget"]["trials"]
    assert set(keys("The study")) - EXAMPLE.keys() == {"note", "scheduler", "round", "parents"}
    assert EXAMPLE["checks"].keys() <= BY_NAME.keys()
    assert {entry["type"] for entry in EXAMPLE["space"]} == KINDS.keys() - {"integer"}
