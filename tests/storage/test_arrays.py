import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from tunebook_server.storage.arrays import Blobs, Doubles, Integers, Texts

anything = settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@anything
@given(
    st.lists(st.integers(-(2**63), 2**63 - 1), max_size=20),
    st.lists(st.floats(allow_nan=False), max_size=20),
    st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), max_size=20),
    st.lists(st.binary(), max_size=20),
)
def test_columns_arrive_as_arrays(
    engine: Engine, integers: list[int], doubles: list[float], texts: list[str], blobs: list[bytes]
) -> None:
    with engine.connect() as connection:
        row = connection.exec_driver_sql(
            "SELECT %s, %s, %s, %s",
            (
                Integers(np.array(integers, dtype=np.int64)),
                Doubles(np.array(doubles, dtype=np.float64)),
                Texts(texts),
                Blobs(blobs),
            ),
        ).one()
    assert list(row) == [integers, doubles, texts, blobs]
    assert [math.copysign(1, value) for value in row[1]] == [math.copysign(1, value) for value in doubles]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (Integers(np.array([1])), "bigint[]"),
        (Doubles(np.array([1.0])), "double precision[]"),
        (Texts(["a"]), "text[]"),
        (Blobs([b"a"]), "bytea[]"),
        (Texts([]), "text[]"),
    ],
)
def test_each_has_one_type_whatever_is_in_it(engine: Engine, column: object, expected: str) -> None:
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT pg_typeof(%s)::text", (column,)).scalar_one() == expected
