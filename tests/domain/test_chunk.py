import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunebook_server.domain.chunk import NO_POINTS, Points, decode, encode_steps, encode_values, merge

LAST = 2**63 - 1
any_values = st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=50)  # every bit pattern of a float64
any_steps = st.sets(st.one_of(st.integers(0, 100), st.integers(0, LAST)), min_size=1, max_size=50)


def points(steps: list[int], values: list[float] | None = None) -> Points:
    written = np.array(steps, dtype=np.int64)
    return Points(written, np.arange(len(steps), dtype=np.float64) if values is None else np.array(values))


@given(any_values)
def test_every_float_keeps_every_bit(patterns: list[int]) -> None:
    values = np.array(patterns, dtype=np.uint64).view(np.float64)
    read = decode(b"", encode_values(values), first_step=0, last_step=len(values) - 1)
    assert read.values.tobytes() == values.tobytes()


@given(any_steps)
def test_steps_read_back(chosen: set[int]) -> None:
    steps = np.array(sorted(chosen), dtype=np.int64)
    content = encode_values(np.zeros(len(steps)))
    read = decode(encode_steps(steps), content, first_step=int(steps[0]), last_step=int(steps[-1]))
    assert read.steps.tolist() == steps.tolist()


@given(st.integers(0, 2**40), st.integers(1, 2**20), st.integers(1, 100))
def test_evenly_spaced_steps_take_no_bytes(first: int, stride: int, count: int) -> None:
    steps = first + stride * np.arange(count, dtype=np.int64)
    assert encode_steps(steps) == b""
    last = int(steps[-1])
    assert (
        decode(b"", encode_values(np.zeros(count)), first_step=first, last_step=last).steps.tolist()
        == steps.tolist()
    )


def test_bytes_are_little_endian() -> None:
    assert encode_steps(np.array([1, 2, 4])) == b"".join(step.to_bytes(8, "little") for step in (1, 2, 4))
    assert encode_values(np.array([1.0])) == bytes.fromhex("000000000000f03f")
    assert encode_values(np.array([1.0], dtype=">f8")) == bytes.fromhex("000000000000f03f")


@given(st.lists(st.lists(st.tuples(st.integers(0, 12), st.floats()), max_size=12), max_size=6))
def test_the_last_write_of_a_step_wins(writes: list[list[tuple[int, float]]]) -> None:
    parts: list[Points] = []
    expected: dict[int, float] = {}
    for write in writes:
        part = dict(sorted(dict(write).items()))
        parts.append(points(list(part), list(part.values())))
        expected |= part
    merged = merge(parts)
    assert merged.steps.tolist() == sorted(expected)
    in_order = np.array([expected[step] for step in sorted(expected)], dtype=np.float64)
    assert merged.values.tobytes() == in_order.tobytes()


def test_nothing_merges_to_nothing() -> None:
    assert merge([]) is NO_POINTS
    assert len(NO_POINTS) == 0


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [(None, None, [1, 3, 5]), (2, None, [3, 5]), (None, 3, [1, 3]), (3, 3, [3]), (4, 4, []), (6, None, [])],
)
def test_a_range_has_both_ends(first: int | None, last: int | None, expected: list[int]) -> None:
    assert points([1, 3, 5]).between(first, last).steps.tolist() == expected
