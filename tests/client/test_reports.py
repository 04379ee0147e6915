"""Rounds and reports from a script and from the command line, against a real server and a real browser."""

import struct
import zlib
from pathlib import Path

import pytest

import tunebook
from tests.client.test_cli import environment, run
from tests.live import Live

__all__ = ["environment"]
HOSTILE = "a|b `c` <script>window.owned=1</script> [x](https://evil.example)"


def document(name: str, **more: object) -> dict[str, object]:
    space = [
        {"name": "rate", "type": "float", "low": 1e-4, "high": 1.0, "scale": "log"},
        {"name": "kind", "type": "categorical", "choices": ["a", HOSTILE], "role": "scientific"},
    ]
    asked = {"project": "reports", "objective": {"metric": "loss"}, "budget": {"trials": 12}, "space": space}
    return {**asked, "name": name, **more}


@pytest.fixture(scope="module")
def study(live: Live) -> tunebook.Study:
    """Twelve trials in a round, both with hostile names."""
    client = tunebook.Client(live.url, live.api._token)
    made = client.create_round("reports", HOSTILE, goal="What is best?")
    assert client.round(made.id) == client.round(HOSTILE) == made
    study = client.create(document(HOSTILE, round=made.id))
    for trial in study.ask_each():
        for step in range(5):
            trial.report(step, {"loss": float(trial.parameters["rate"]) / (step + 1)})
    return study


def inflated(picture: bytes) -> tuple[int, int, bytes]:
    """Width, height and the filtered pixels of a PNG."""
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", picture[16:24])
    place, packed = 8, b""
    while place < len(picture):
        (length,) = struct.unpack(">I", picture[place : place + 4])
        if picture[place + 4 : place + 8] == b"IDAT":
            packed += picture[place + 8 : place + 8 + length]
        place += length + 12
    return width, height, zlib.decompress(packed)


def is_drawn(picture: bytes) -> bool:
    """Filters turn an area of one colour into few different bytes, whatever they are."""
    return len(set(inflated(picture)[2])) > 50


@pytest.mark.browser
def test_a_markdown_report_stands_in_a_folder_with_its_pictures(
    study: tunebook.Study, environment: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "report"
    done = run(["study", "report", study.id, "--format", "markdown", "--output", folder], environment)
    assert done.stdout.strip() == str(folder / "report.md")
    text = (folder / "report.md").read_text()
    pictures = sorted(folder.glob("*.png"))
    assert [path.name for path in pictures] == [
        f"study-{study.id}-{place:02d}-{kind}.png"
        for place, kind in enumerate(("axis", "axis", "isolation", "best-of-k", "curves", "history"), start=1)
    ]
    assert all(f"]({path.name})" in text for path in pictures)
    assert "<script" not in text.replace("\\<script", "")
    for path in pictures:
        assert inflated(path.read_bytes())[0] == 1920
        assert is_drawn(path.read_bytes()), path.name
    assert not list(folder.glob("*.part"))


def test_a_picture_of_one_colour_is_seen() -> None:
    def part(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + bytes(4)

    header = struct.pack(">IIBBBBB", 100, 100, 8, 2, 0, 0, 0)
    lines = (b"\x02" + bytes(300)) * 100
    parts = part(b"IHDR", header) + part(b"IDAT", zlib.compress(lines)) + part(b"IEND", b"")
    assert not is_drawn(b"\x89PNG\r\n\x1a\n" + parts)


def test_an_html_report_of_a_round_is_one_file(
    study: tunebook.Study, environment: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "round.html"
    run(["round", "report", HOSTILE, "--output", file], environment)
    text = file.read_text()
    assert text.startswith("<!doctype html>")
    assert f'id="study-{study.id}"' in text
    assert HOSTILE not in text
    gone = run(["round", "report", "987654", "--output", tmp_path / "x.html"], environment, status=2)
    assert "there is no round 987654" in gone.stderr
    nowhere = tmp_path / "no" / "folder.html"
    assert (
        "cannot be written"
        in run(["round", "report", HOSTILE, "--output", nowhere], environment, status=1).stderr
    )


def test_without_a_browser_or_the_extra_the_command_says_what_to_install(
    study: tunebook.Study, environment: dict[str, str], tmp_path: Path
) -> None:
    wanted = ["study", "report", study.id, "--format", "markdown", "--output", tmp_path / "x"]
    blind = run(wanted, {**environment, "BROWSER_PATH": "/nowhere"}, status=1)
    assert "BROWSER_PATH" in blind.stderr
    (tmp_path / "kaleido.py").write_text("raise ImportError")
    bare = run(wanted, {**environment, "PYTHONPATH": str(tmp_path)}, status=1)
    assert "pip install 'tunebook[report]'" in bare.stderr
    assert not (tmp_path / "x").exists()


def test_rounds_on_the_command_line(environment: dict[str, str], tmp_path: Path) -> None:
    made = run(["round", "create", "reports", "schedule", "--goal", "Does a cosine help?"], environment)
    assert made.stdout.startswith("Round ")
    again = run(["round", "create", "reports", "schedule"], environment, status=1)
    assert "already" in again.stderr
    file = tmp_path / "study.toml"
    head = 'project = "reports"\nname = "in a round"\nround = "{}"\n'
    body = '[objective]\nmetric = "loss"\n[budget]\ntrials = 2\n'
    body += '[[space]]\nname = "x"\ntype = "float"\nlow = 0.0\nhigh = 1.0\n'
    file.write_text(head.format("schedule") + body)
    run(["study", "create", file], environment)
    assert "1        schedule" in run(["round", "list"], environment).stdout
    file.write_text(head.format("shedule") + body)
    refused = run(["study", "create", file], environment, status=2)
    assert "round: there is no round 'shedule' in this project" in refused.stderr
