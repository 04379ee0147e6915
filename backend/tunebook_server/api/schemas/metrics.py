"""Shapes of points: batches as they come in, curves as they go out."""

import binascii
import hashlib
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray
from pydantic import BeforeValidator, ConfigDict, Field, Strict, TypeAdapter
from typing_extensions import TypedDict

from tunebook_server.api.schemas import INT32_MOST, INT64_MOST, Number, Sent
from tunebook_server.domain.batch import MAX_POINTS, MAX_SERIES
from tunebook_server.domain.errors import Invalid

STEP, VALUE = np.dtype("<i8"), np.dtype("<f8")
ENCODED_MOST = 4 * ((MAX_POINTS * 8 + 2) // 3) + 4

Word = Literal["NaN", "Infinity", "-Infinity"]
Text = Annotated[str, Field(max_length=ENCODED_MOST)]
Steps = Annotated[list[Annotated[int, Strict()]], Field(fail_fast=True, max_length=MAX_POINTS)] | Text
Values = (
    Annotated[list[Annotated[float, Strict()] | Word], Field(fail_fast=True, max_length=MAX_POINTS)] | Text
)


class Column(TypedDict):
    """One metric, a value a step: JSON lists, or base64 of little-endian int64 and float64."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]

    step: Annotated[Steps, Field(examples=[[0, 10, 20]])]
    value: Annotated[Values, Field(examples=[[2.3, 1.9, "NaN"]])]


class Report(TypedDict):
    """`sequence` counts the batches of an attempt: sent again, a batch changes nothing."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]

    epoch: Annotated[int, Strict(), Field(ge=1, le=INT32_MOST)]
    sequence: Annotated[int, Strict(), Field(ge=0, le=INT64_MOST)]
    series: Annotated[dict[str, Column], Field(min_length=1, max_length=MAX_SERIES)]


REPORT: TypeAdapter[Report] = TypeAdapter(Report)
"""Validates the raw body: through a parsed body parameter the same costs ten times as much."""
REPORT_SCHEMA = REPORT.json_schema(ref_template="#/components/schemas/{model}")
COLONS_MOST = 20 * MAX_SERIES
"""Pydantic collects a fault for every unknown or wrong key: of millions, gigabytes."""


class AcceptedOut(Sent):
    """`duplicate`: the batch was there already. `end`: `stop` where the study's scheduler or somebody wants
    the attempt to end; `pause` to save, end, and finish as stopped: the trial goes on later."""

    points: int
    duplicate: bool
    end: Literal["", "stop", "pause"]


def arrays(series: Mapping[str, Column]) -> dict[str, tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """By metric the steps and values as arrays; Invalid names the first that cannot be read."""
    return {
        name: (
            _array(column["step"], STEP, f"series.{name[:60]}.step"),
            _array(column["value"], VALUE, f"series.{name[:60]}.value"),
        )
        for name, column in series.items()
    }


def content_hash(series: Mapping[str, tuple[NDArray[Any], NDArray[Any]]]) -> bytes:
    """Of the points themselves: lists and base64 of the same numbers are the same content."""
    digest = hashlib.sha256()
    for name in sorted(series):
        steps, values = series[name]
        digest.update(f"{len(name)} {len(steps)} {len(values)} {name}".encode())
        digest.update(steps.tobytes())
        digest.update(values.tobytes())
    return digest.digest()


def _array(column: list[Any] | str, kind: DTypeLike, field: str) -> NDArray[Any]:
    if isinstance(column, str):
        return _decoded(column, kind, field)
    try:
        # NumPy reads the three words, and refuses integers beyond 64 bits.
        return np.array(column, dtype=kind)
    except (OverflowError, ValueError):
        remedy = f"Use whole numbers from 0 to {INT64_MOST}."
        raise Invalid(f"{field} has a number beyond 64 bits", field=field, remedy=remedy) from None


def _decoded(text: str, kind: DTypeLike, field: str) -> NDArray[Any]:
    try:
        content = binascii.a2b_base64(text, strict_mode=True)
    except (binascii.Error, ValueError):
        raise Invalid(
            f"{field} is not base64", field=field, remedy="Encode the bytes, or send a list of numbers."
        ) from None
    if len(content) % 8:
        remedy = "Send 8 bytes, little-endian, for each number."
        raise Invalid(f"{field} has {len(content)} bytes, not a multiple of 8", field=field, remedy=remedy)
    return np.frombuffer(content, dtype=kind)


def _listed(column: Any) -> Any:
    return column.tolist() if isinstance(column, np.ndarray) else column


class CurveOut(Sent):
    """`total_points` before decimation; `epoch` is the newest attempt with points in it."""

    trial_id: int
    number: int
    metric: str
    epoch: int
    steps: Annotated[list[int], BeforeValidator(_listed)]
    values: Annotated[list[Number], BeforeValidator(_listed)]
    total_points: int
    decimated: bool
    superseded: bool


class CurvesOut(Sent):
    items: list[CurveOut]


class MetricNames(Sent):
    items: list[str]
