"""What `report` takes and what it refuses, at once and by name."""

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from tunebook.points import MAX_METRICS, checked_step, checked_values


@pytest.mark.parametrize("step", [0, 5, 2**63 - 1, np.int32(5), np.uint64(5), np.array(5)])
def test_steps(step: Any) -> None:
    assert checked_step(step) == int(step)
    assert type(checked_step(step)) is int


@pytest.mark.parametrize(
    ("step", "error"),
    [
        (-1, ValueError),
        (2**63, ValueError),
        (1.0, TypeError),
        ("1", TypeError),
        (None, TypeError),
        (True, TypeError),
    ],
)
def test_wrong_steps(step: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="step is"):
        checked_step(step)


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (1, 1.0),
        (True, 1.0),
        (0.1, 0.1),
        (-0.0, -0.0),
        (1e308, 1e308),
        (5e-324, 5e-324),
        (np.float32(0.5), 0.5),
        (np.array(0.25), 0.25),
        (np.int64(3), 3.0),
        (Fraction(1, 4), 0.25),
        (Decimal("0.5"), 0.5),
        (math.nan, "NaN"),
        (math.inf, "Infinity"),
        (-np.inf, "-Infinity"),
    ],
)
def test_numbers(value: Any, kept: float | str) -> None:
    found = checked_values({"m": value})["m"]
    assert found == kept
    assert type(found) is type(kept)
    if isinstance(kept, float):
        assert isinstance(found, float)
        assert math.copysign(1, found) == math.copysign(1, kept)


class Tensor:
    """Behaves as a PyTorch scalar that needs a gradient: becoming a float warns, unless it is detached."""

    ndim = 0
    shape = ()

    def __init__(self, *, detached: bool = False) -> None:
        self.detached = detached

    def detach(self) -> "Tensor":
        return Tensor(detached=True)

    def __float__(self) -> float:
        assert self.detached
        return 0.5


def test_scalars_with_a_gradient() -> None:
    assert checked_values({"loss": Tensor()}) == {"loss": 0.5}


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("0.5", "'loss' is str"),
        (b"1", "'loss' is bytes"),
        (None, "'loss' is NoneType"),
        (1j, "'loss' is complex"),
        ([0.5], "'loss' is list"),
        (np.array([0.5]), r"'loss' is ndarray of shape \(1,\)"),
        (np.zeros((2, 3)), r"'loss' is ndarray of shape \(2, 3\)"),
    ],
)
def test_what_is_no_number(value: Any, says: str) -> None:
    with pytest.raises(TypeError, match=says):
        checked_values({"loss": value})


@pytest.mark.parametrize("name", ["", "x" * 201, "a\nb", "a\x00", "\ud800", "a\u202eb"])
def test_wrong_names(name: str) -> None:
    with pytest.raises(ValueError, match="metric name"):
        checked_values({name: 1.0})


def test_wrong_shapes() -> None:
    wrong: Any = [("loss", 1.0)]
    with pytest.raises(TypeError, match="values is list"):
        checked_values(wrong)
    unnamed: Any = {1: 1.0}
    with pytest.raises(TypeError, match="metric name 1 is int"):
        checked_values(unnamed)
    with pytest.raises(ValueError, match="metrics in one report"):
        checked_values({f"m{i}": 1.0 for i in range(MAX_METRICS + 1)})
    with pytest.raises(ValueError, match="too large"):
        checked_values({"loss": 10**400})
