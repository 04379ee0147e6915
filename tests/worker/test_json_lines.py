"""Which printed lines are metrics, and which are only output."""

import pytest

from tunebook_worker.json_lines import LINE_LIMIT_BYTES, Lines, parse


@pytest.mark.parametrize(
    ("line", "step", "values"),
    [
        (b'{"step": 10, "valid/error": 0.12}', 10, {"valid/error": 0.12}),
        (b'  {"step":0,"a":1,"b":-2.5e3}\r', 0, {"a": 1.0, "b": -2500.0}),
        (b'{"step": 3.0, "loss": 1}', 3, {"loss": 1.0}),
        (b'{"loss": NaN, "step": 1}', 1, {"loss": "NaN"}),
        (b'{"loss": "-Infinity", "gain": Infinity, "step": 1}', 1, {"loss": "-Infinity", "gain": "Infinity"}),
        (b'{"step": 1, "loss": null}', 1, {"loss": "NaN"}),
        (b'{"step": 1, "loss": 1e999}', 1, {"loss": "Infinity"}),
        (b'{"step": 1, "loss": -' + b"9" * 400 + b"}", 1, {"loss": "-Infinity"}),
        (b'{"step": 9223372036854775807, "loss": 5e-324}', 2**63 - 1, {"loss": 5e-324}),
        ('{"step": 1, "Verlust/∂": 1}'.encode(), 1, {"Verlust/∂": 1.0}),
    ],
)
def test_a_metric_line(line: bytes, step: int, values: dict[str, object]) -> None:
    assert parse(line) == {"type": "report", "step": step, "values": values}


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"epoch 1: loss 0.3",
        b'{"valid/error": 0.12}',
        b'{"step": 10}',
        b'{"step": "10", "loss": 1}',
        b'{"step": true, "loss": 1}',
        b'{"step": 1.5, "loss": 1}',
        b'{"step": -1, "loss": 1}',
        b'{"step": 9223372036854775808, "loss": 1}',
        b'{"step": NaN, "loss": 1}',
        b'{"step": 1, "loss": true}',
        b'{"step": 1, "loss": 1, "message": "done"}',
        b'{"step": 1, "loss": [1]}',
        b'{"step": 1, "": 1}',
        b'{"step": 1, "a\\u0000b": 1}',
        b'{"step": 1, "' + b"n" * 201 + b'": 1}',
        b'[{"step": 1, "loss": 1}]',
        b'{"step": 1, "loss": 1',
        b'{"step": 1, "\xff": 1}',
        b"[" * 10_000,
        b'{"a":' * 10_000,
        b'{"step": 1, "loss": ' + b" " * LINE_LIMIT_BYTES + b"1}",
    ],
)
def test_ordinary_output(line: bytes) -> None:
    assert parse(line) is None


def test_lines_are_found_wherever_the_stream_is_cut() -> None:
    stream = b'{"step": 1}\n\nplain\n{"step": 2}'
    for cut in range(len(stream) + 1):
        lines = Lines()
        found = lines.feed(stream[:cut]) + lines.feed(stream[cut:]) + lines.end()
        assert found == [b'{"step": 1}', b"", b"plain", b'{"step": 2}']


def test_an_endless_line_costs_no_memory_and_no_later_line() -> None:
    lines = Lines()
    for _ in range(100):
        assert lines.feed(b"x" * LINE_LIMIT_BYTES) == []
    assert lines.feed(b"tail\nnext\n") == [b"next"]
    assert lines.end() == []
