"""What the docs tell a reader to open, to run or to look at is there."""

import argparse
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tunebook import cli
from tunebook_server.domain.lint import lint
from tunebook_server.domain.study import StudyDesign

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TUTORIAL = ROOT / "docs/tutorial.md"
IMAGES = ROOT / "docs/images"
IMAGE_BYTES_MOST, IMAGES_BYTES_MOST = 150_000, 1_000_000
LINK = re.compile(r"\]\(([^)\s]+)\)")
SHELL = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)


def links(page: Path) -> Iterator[Path]:
    for target in LINK.findall(page.read_text()):
        if "://" not in target and not target.startswith("#"):
            yield page.parent / target.partition("#")[0]


def commands(page: Path) -> Iterator[list[str]]:
    for block in SHELL.findall(page.read_text()):
        for line in block.splitlines():
            yield shlex.split(line, comments=True)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_pictures_lead_somewhere(page: Path) -> None:
    assert [str(link) for link in links(page) if not link.exists()] == []


def test_pictures_are_small_and_every_one_is_shown() -> None:
    shown = {link.resolve() for page in PAGES for link in links(page) if link.suffix == ".png"}
    sizes = {path.resolve(): path.stat().st_size for path in IMAGES.iterdir()}
    assert sizes.keys() == shown
    assert max(sizes.values()) < IMAGE_BYTES_MOST
    assert sum(sizes.values()) < IMAGES_BYTES_MOST


def test_every_picture_says_what_it_shows() -> None:
    assert [page.name for page in PAGES if "![](" in page.read_text()] == []


def test_the_commands_of_the_tutorial_are_commands() -> None:
    found = list(commands(TUTORIAL))
    ours = [argv[1:] for argv in found if argv[0] == "tunebook"]
    assert {tuple(argv[:2]) for argv in ours} >= {("study", "run"), ("study", "check"), ("study", "wait")}
    for argv in ours:
        if argv[0] == "study":
            assert isinstance(cli._parser().parse_args(argv), argparse.Namespace)
        else:
            help_argv = [sys.executable, "-m", "tunebook", argv[0], "--help"]
            said = subprocess.run(help_argv, capture_output=True, text=True, check=True).stdout
            assert all(word in said for word in argv if word.startswith("--"))
    files = [word for argv in found for word in argv if word.startswith("examples/")]
    assert files
    assert all((ROOT / file).is_file() for file in files)


@pytest.mark.parametrize("file", sorted(ROOT.glob("examples/*.toml")), ids=lambda file: file.stem)
def test_every_example_is_a_design(file: Path) -> None:
    document = tomllib.loads(file.read_text())
    del document["project"]
    document["job"] = {"template": document["job"]["template"]}
    assert StudyDesign.parse(document).name == document["name"]


def test_the_first_study_gets_the_advice_that_the_tutorial_takes() -> None:
    document = tomllib.loads((ROOT / "examples/digits_narrow.toml").read_text())
    del document["project"]
    document["job"] = {"template": document["job"]["template"]}
    (advice,) = lint(StudyDesign.parse(document))
    assert advice.rule == "range_shared"
    assert advice.changes
