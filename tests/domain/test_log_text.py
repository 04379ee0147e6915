"""Output as inert text, and places in it that are found in any case and on any border."""

import re

from hypothesis import given
from hypothesis import strategies as st

from tunebook_server.domain.log_text import cut, first_match, folded, inert, last_match

ACTIVE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
LETTERS = st.text(st.sampled_from("aAbİßςΣσéÉ\n🙂\x1b[3m"), max_size=40)


def test_colours_vanish_and_the_rest_is_shown() -> None:
    assert inert("\x1b[1;31mred\x1b[0m \x1b]0;title\x07x") == "red x"
    assert inert("10 %\r20 %\r\ndone") == "10 %\n20 %\ndone"
    assert inert("\x00\x07\x7f\x1b") == "\u2400\u2407\u2421\u241b"
    assert inert("a\u202eb\u2066c") == "a<U+202E>b<U+2066>c"


@given(st.text())
def test_nothing_active_is_left(text: str) -> None:
    assert not ACTIVE.search(inert(text))


def test_a_million_unfinished_escapes_take_no_time_to_speak_of() -> None:
    assert len(inert("\x1b]" * 500_000)) <= 1_000_000
    assert len(inert("\x1b[" + ";" * 1_000_000)) > 0


@given(st.text(), st.integers(0, 20), st.integers(0, 20))
def test_cut_pieces_hold_whole_letters(text: str, start: int, length: int) -> None:
    content = text.encode()[start : start + length]
    head, tail = cut(content, head=True, tail=True)
    assert 0 <= head <= 3
    if (head, tail) != (0, 0):
        content[head : len(content) - tail].decode()


@given(LETTERS, LETTERS.filter(bool))
def test_matches_are_those_of_the_folded_text(text: str, wanted: str) -> None:
    content, low = text.encode(), folded(wanted)
    assert len(folded(text)) == len(text)
    places = [place for place in range(len(text)) if folded(text).startswith(low, place)]
    bytes_of = [len(text[:place].encode()) for place in places]
    first = first_match(content, low)
    assert (first and first[0]) == (bytes_of[0] if places else None)
    if first:
        assert folded(content[first[0] : first[1]].decode()) == low
    for before in range(len(content) + 1):
        last = last_match(content, low, before=before)
        assert (last and last[0]) == max((at for at in bytes_of if at < before), default=None)
