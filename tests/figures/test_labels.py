import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunebook_server.domain.objective import Objective
from tunebook_server.figures.labels import count, key_words, objective_title, plain, significant


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.083123, "0.08312"),
        (12345.678, "12,346"),
        (3.2e-07, "3.2e-7"),
        (1.0, "1"),
        (-0.5, "-0.5"),
        (0.0, "0"),
        (1e30, "1e30"),
        (math.nan, "NaN"),
        (-math.inf, "−∞"),
        (None, "–"),
    ],
)
def test_four_significant_digits(value: float | None, text: str) -> None:
    assert significant(value) == text


@given(st.floats(-1e308, 1e308))
def test_rounding_keeps_the_value_to_four_digits(value: float) -> None:
    assert float(significant(value).replace(",", "")) == pytest.approx(value, rel=5e-4, abs=0)


@given(st.text(max_size=80))
def test_no_markup_survives(text: str) -> None:
    shown = plain(text)
    assert not set("<>") & set(shown)
    assert "%{" not in shown
    assert "$" not in shown.replace("$\u200b", "")
    assert all(part.startswith(("amp;", "lt;", "gt;")) for part in shown.split("&")[1:])


def test_long_names_are_cut() -> None:
    assert plain("a" * 60) == "a" * 47 + "…"


def test_keys_read_as_people_wrote_them() -> None:
    assert key_words("opt=a%2Fb|c/x=1/rate") == ("rate", ["opt=a/b or c", "x=1"])


def test_titles_carry_scale_and_direction() -> None:
    assert objective_title(Objective("valid/error"), log=False) == "valid/error ↓ better"
    assert objective_title(Objective("acc", "maximize"), log=True) == "acc (log) ↑ better"
    assert (count(1, "trial"), count(1500, "trial")) == ("1 trial", "1,500 trials")
