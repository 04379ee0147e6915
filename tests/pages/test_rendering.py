import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.services.making import SPACE
from tunebook_server.domain.project import JobTemplate
from tunebook_server.pages.login import own_path
from tunebook_server.pages.rendering import address, changed, duration, moment, number, setting, size
from tunebook_server.pages.reproduction import command, uncommitted
from tunebook_worker import launch

VALUES = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=40),
    st.integers(),
    st.floats(allow_nan=False),
    st.booleans(),
)


@pytest.mark.parametrize(
    ("value", "html"),
    [
        (0.08312345, '<span title="0.08312345">0.08312</span>'),
        (0.5, "0.5"),
        (3.0, "3"),
        (math.nan, "NaN"),
        (None, '<span class="absent">–</span>'),
    ],
)
def test_numbers_are_short_and_whole_on_hover(value: float | None, html: str) -> None:
    assert number(value) == html


def test_settings_of_any_type() -> None:
    assert [setting(value) for value in (True, 64, "a<b")] == ["true", "64", "a&lt;b"]
    assert setting("<" * 70) == f'<span title="{"&lt;" * 70}">{"&lt;" * 60}…</span>'


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.8412, "0.84 s"),
        (12.3, "12 s"),
        (60, "1 min"),
        (200, "3 min 20 s"),
        (7_500, "2 h 5 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_moments_are_exact_until_the_browser_tells_them() -> None:
    at = datetime(2026, 11, 21, 10, 18, tzinfo=UTC)
    assert moment(at) == '<time datetime="2026-11-21T10:18:00+00:00">2026-11-21 10:18</time>'


def test_addresses() -> None:
    assert address("/a", key="optimizer=adam/lr", empty="", none=None) == "/a?key=optimizer%3Dadam%2Flr"
    assert changed({"sort": "number", "state": "failed"}, state="", cursor="c") == "?sort=number&cursor=c"


@pytest.mark.parametrize("path", ["/studies/3", "/studies/3?sort=-number&x=%2F", "/"])
def test_a_login_goes_back_to_a_path_of_this_server(path: str) -> None:
    assert own_path(path) == path


ELSEWHERE = (
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "https://evil.example",
    "http:/evil.example",
    "javascript:alert(1)",
    "/\t/evil.example",
    "/\n//evil.example",
    "/ /evil.example",
    "/a\\b",
    "/é",
    "evil",
    "",
)


@pytest.mark.parametrize("path", ELSEWHERE)
def test_a_login_goes_nowhere_else(path: str) -> None:
    assert own_path(path) == "/"


@given(
    st.lists(st.text(min_size=1, max_size=20), max_size=3),
    st.dictionaries(st.sampled_from(SPACE.keys), VALUES),
)
def test_the_command_is_the_one_that_the_worker_runs(words: list[str], parameters: dict[str, object]) -> None:
    argv = ("/bin/train", *(word.replace("\x00", "").encode(errors="replace").decode() for word in words))
    template = JobTemplate(1, 1, "t", 1, argv, "/", (), "user:x", datetime.now(UTC))
    shown = command(template, parameters)  # type: ignore[arg-type]
    assert [word.encode() for word in shown] == launch.words(argv, parameters)


def test_what_is_known_of_the_code() -> None:
    assert uncommitted({}) == "not recorded"
    assert (
        uncommitted({"git": {"commit": "0123456789abcdef", "dirty": True}})
        == "0123456789ab, with uncommitted changes"
    )
    assert uncommitted({"git": {"commit": "0123456789abcdef"}}) == "0123456789ab, nothing uncommitted"


@pytest.mark.parametrize(
    ("size_bytes", "words"),
    [
        (None, "–"),
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1 kB"),
        (1_234_567, "1.23 MB"),
        (96 << 30, "103 GB"),
        (2**62, "4.61e+03 PB"),
    ],
)
def test_sizes(size_bytes: int | None, words: str) -> None:
    assert size(size_bytes) == words
