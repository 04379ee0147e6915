import json
import math
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunebook_server.domain.errors import Invalid
from tunebook_server.domain.numbers import decode, encode, encode_all

SPECIAL = [math.nan, math.inf, -math.inf, -0.0, 5e-324, 1e308, -1.7976931348623157e308]


@given(st.one_of(st.floats(allow_nan=False), st.sampled_from(SPECIAL)))
def test_through_json_and_back_a_number_keeps_its_bits(number: float) -> None:
    text = json.dumps(encode(number), allow_nan=False)
    assert struct.pack("<d", decode(json.loads(text))) == struct.pack("<d", number)


def test_what_json_cannot_say_is_a_word() -> None:
    assert [encode(number) for number in SPECIAL[:3]] == ["NaN", "Infinity", "-Infinity"]
    assert encode_all(np.array([1.0, math.nan, -math.inf])) == [1.0, "NaN", "-Infinity"]
    assert encode_all(np.array([])) == []


@pytest.mark.parametrize("wrong", ["nan", "", "1.0", "inf", True, 10**400])
def test_other_words_are_no_numbers(wrong: float | str) -> None:
    with pytest.raises(Invalid):
        decode(wrong)
