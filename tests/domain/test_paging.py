"""Cursors: exact both ways, and nothing that somebody typed breaks them."""

import base64
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunebook_server.domain import paging
from tunebook_server.domain.errors import Invalid

KEYS = st.one_of(
    st.none(),
    st.booleans(),
    st.floats(),
    st.integers(-(2**63), 2**63 - 1),
    st.text("aZ0 é=/|\u200b𝛼", max_size=50),
)
ANY = (float, int, str, bool, type(None))


@given(st.lists(KEYS, max_size=4))
def test_a_cursor_gives_its_position_back(position: list[paging.Key]) -> None:
    found = paging.decode(paging.encode(*position), *[ANY] * len(position))
    assert len(found) == len(position)
    for got, wanted in zip(found, position, strict=True):
        both_nan = isinstance(wanted, float) and math.isnan(wanted) and math.isnan(float(got or 0))
        assert both_nan or (got == wanted and type(got) is type(wanted))


@given(st.one_of(st.text(), st.binary().map(lambda raw: base64.urlsafe_b64encode(raw).decode())))
def test_anything_else_is_refused(cursor: str) -> None:
    with pytest.raises(Invalid):
        paging.decode(cursor, str, int, int, str)


@pytest.mark.parametrize(
    "position", [["a\x00"], [2**63], [1e400], ["x" * 2000], [[1]], [{}], [], ["a", "b"], "a", {"a": 1}, None]
)
def test_positions_of_other_kinds_are_refused(position: object) -> None:
    cursor = base64.urlsafe_b64encode(json.dumps(position).encode()).decode()
    with pytest.raises(Invalid):
        paging.decode(cursor, (str, int))


def test_deep_nesting_is_refused() -> None:
    cursor = base64.urlsafe_b64encode(b"[" * 100_000).decode()
    with pytest.raises(Invalid):
        paging.decode(cursor, str)


def test_a_page_says_whether_there_is_another() -> None:
    last = paging.cut([1, 2, 3], 3, lambda item: (item,))
    assert (last.items, last.next) == ((1, 2, 3), None)
    first = paging.cut([1, 2, 3, 4], 3, lambda item: (item,))
    assert first.items == (1, 2, 3)
    assert first.next is not None
    assert paging.decode(first.next, int) == (3,)
    assert paging.cut([], 3, lambda item: (item,)).next is None


@pytest.mark.parametrize("limit", [0, -1, 1001, 10**30])
def test_page_sizes(limit: int) -> None:
    with pytest.raises(Invalid):
        paging.page_size(limit)


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "1"])
def test_times(text: str) -> None:
    with pytest.raises(Invalid):
        paging.time_text(text)
