"""Every file stays readable in one sitting, and belongs to no particular machine."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = [
    ".ci",
    "backend",
    "benchmarks",
    "broker",
    "client",
    "deploy",
    "docs",
    "examples",
    "frontend",
    "migrations",
    "screenshots",
    "stack",
    "tests",
    "worker",
]
CODE = {".py", ".js", ".css", ".html", ".toml", ".md", ".mako", ".sql", ".sh"}
MAX_LINES, MAX_LINES_OF_A_TEST, MAX_LINES_OF_JAVASCRIPT = 500, 600, 1_000
ELSEWHERE = re.compile(
    r"/wor[k]/|/roo[t]/|/hom[e]/\w+/|C:\\User[s]|pyp[i]\.org|pythonhoste[d]\.org|npmj[s]\.(org|com)|pytorc[h]\.org/whl"
    r"|--(extra-)?inde[x]-url"
)
"""Folders of one machine, and registries: where packages come from is the installer's own business."""


def files() -> Iterator[Path]:
    yield from (path for path in ROOT.iterdir() if path.is_file() and path.name != ".coverage")
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and not {"__pycache__", "vendor"} & set(path.parts):
                yield path


def test_no_file_is_long() -> None:
    long = {}
    for path in files():
        if path.suffix in CODE:
            lines = len(path.read_text(encoding="utf-8").splitlines())
            tests = path.is_relative_to(ROOT / "tests")
            if lines > (MAX_LINES_OF_A_TEST if tests else MAX_LINES):
                long[str(path.relative_to(ROOT))] = lines
    assert not long


def test_half_of_the_modules_are_short() -> None:
    sources = [
        p for p in files() if p.suffix == ".py" and not p.is_relative_to(ROOT / "tests") and p.stat().st_size
    ]
    lines = sorted(len(path.read_text(encoding="utf-8").splitlines()) for path in sources)
    assert lines[len(lines) // 2] <= 120


def test_our_javascript_stays_small() -> None:
    scripts = [path for path in files() if path.suffix in (".js", ".mjs")]
    assert (
        sum(len(path.read_text(encoding="utf-8").splitlines()) for path in scripts) <= MAX_LINES_OF_JAVASCRIPT
    )


def test_nothing_names_a_machine_or_a_registry() -> None:
    found = {}
    for path in files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a picture
        if match := ELSEWHERE.search(text):
            found[str(path.relative_to(ROOT))] = match[0]
    assert not found


@pytest.mark.parametrize("line", ["/wor" + "k/main", "https://pyp" + "i.org/simple", "/hom" + "e/ada/.venv"])
def test_the_pattern_finds_them(line: str) -> None:
    assert ELSEWHERE.search(line)


def test_no_package_folder_can_be_imported_twice() -> None:
    """With backend/__init__.py, `import backend.tunebook_server` would load every module a second time."""
    for folder in ("backend", "worker", "frontend", "client", "broker"):
        assert not (ROOT / folder / "__init__.py").exists()
