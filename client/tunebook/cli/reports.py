"""`tunebook study report` and `tunebook round report`: one HTML page, or Markdown with pictures."""

import argparse
import contextlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tunebook.api import Api
from tunebook.cli import pictures
from tunebook.cli.terminal import clean
from tunebook.errors import TunebookError

DRAWING_SECONDS = 120.0
"""How long the server may take to draw the figures of a report."""


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--format", choices=("html", "markdown"), default="html")
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        help="the HTML file, or the folder for report.md and pictures",
    )


def write(api: Api, kind: str, number: int, options: argparse.Namespace) -> int:
    """`kind`: studies or rounds. Raises TunebookError where the output cannot be written."""
    try:
        if options.format == "html":
            pieces = api.stream(f"/{kind}/{number}/report.html", prefix="", timeout_seconds=DRAWING_SECONDS)
            file: Path = options.output
            keep(file, pieces)
        else:
            file = _markdown(api, kind, number, options.output)
    except OSError as error:
        raise TunebookError(f"{options.output} cannot be written: {error.strerror}.") from None
    print(clean(file))
    return 0


def keep(file: Path, pieces: Iterable[bytes]) -> None:
    """Whole or not at all: what broke off half-way never stands under the name."""
    part = file.with_name(f"{file.name}.part")
    try:
        with part.open("wb") as opened:
            opened.writelines(pieces)
        part.replace(file)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise


def _markdown(api: Api, kind: str, number: int, folder: Path) -> Path:
    draw = pictures.drawing()  # before anything is asked for: it says what is missing
    report = api.get(f"/{kind}/{number}/report", timeout_seconds=DRAWING_SECONDS)
    folder.mkdir(parents=True, exist_ok=True)
    figures = {each["name"]: _figure(api, each) for each in report["figures"]}
    for name, picture in draw(figures):
        keep(folder / Path(name).name, [picture])
    file = folder / "report.md"
    keep(file, [report["markdown"].encode()])
    return file


def _figure(api: Api, figure: Mapping[str, Any]) -> dict[str, Any]:
    path = f"/studies/{figure['study_id']}/figures/{figure['kind']}"
    found: dict[str, Any] = api.get(path, params={**figure["options"], "theme": "light"})
    return found
