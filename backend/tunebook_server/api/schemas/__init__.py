"""Shapes of what comes in and goes out, one file a noun; here the pieces they share."""

import re
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Path, Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

INT64_MOST = 2**63 - 1
INT32_MOST = 2**31 - 1
NAME_LONGEST = 200
TEXT_LONGEST = 10_000

Item = TypeVar("Item")

# Postgres stores neither NUL nor a lone surrogate; other control characters garble terminals and logs.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_CONTROL_BUT_LINES = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


class Received(BaseModel):
    """A body: unknown fields are refused, because a mistyped one would be dropped in silence."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Sent(BaseModel):
    """An answer, read off a domain value."""

    model_config = ConfigDict(from_attributes=True, frozen=True, ser_json_inf_nan="strings")


class Listing(Sent, Generic[Item]):
    """One page; `next` is the cursor of the page after, null on the last one."""

    items: list[Item]
    next: str | None = Field(default=None, examples=["WzE3XQ"])


class Done(Sent):
    """There is nothing to tell but that it was done."""

    done: bool = True


class FaultOut(Sent):
    field: str
    problem: str
    remedy: str


class Problem(BaseModel):
    """RFC 9457. `code` is stable; `field` is a dotted path; `remedy` says what would be right."""

    type: str = Field(examples=["urn:tunebook:problem:invalid"])
    title: str
    status: int
    code: str = Field(examples=["invalid"])
    detail: str
    field: str
    remedy: str
    faults: list[FaultOut]
    id: str | None = None


def _printable(text: str) -> str:
    if _CONTROL.search(text):
        raise PydanticCustomError("control_characters", "has control characters")
    return text


def _printable_lines(text: str) -> str:
    if _CONTROL_BUT_LINES.search(text):
        raise PydanticCustomError("control_characters", "has control characters")
    return text


def _not_blank(text: str) -> str:
    if not text.strip():
        raise PydanticCustomError("blank", "is empty")
    return text


Word = Annotated[str, AfterValidator(_printable)]
"""Text of one line, of any length: combine with Field(max_length=…)."""
Name = Annotated[
    str, Field(min_length=1, max_length=NAME_LONGEST), AfterValidator(_printable), AfterValidator(_not_blank)
]
Lines = Annotated[str, Field(max_length=TEXT_LONGEST), AfterValidator(_printable_lines)]
Epoch = Annotated[int, Field(ge=1, le=INT32_MOST, examples=[1])]
Step = Annotated[int, Field(ge=0, le=INT64_MOST)]
Sequence = Annotated[int, Field(ge=0, le=INT64_MOST)]
Id = Annotated[int, Path(ge=1, le=INT64_MOST)]
Limit = Annotated[int, Query(ge=1, le=1000, description="Items on this page.")]
Cursor = Annotated[
    str | None,
    Query(max_length=2000, description="`next` of the page before."),
    AfterValidator(lambda cursor: cursor if cursor is None else _printable(cursor)),
]
Filter = Annotated[
    Word,
    Query(
        alias="filter",
        max_length=2000,
        description="Which trials, as an expression: comparisons joined by and, or, not (docs/filters.md).",
        examples=["learning_rate > 1e-4 and not state = infeasible"],
    ),
]

_NUMBER: dict[str, Any] = {"anyOf": [{"type": "number"}, {"enum": ["NaN", "Infinity", "-Infinity"]}]}
Number = Annotated[float, WithJsonSchema(_NUMBER)]
"""JSON has no word for NaN and the infinities: they travel as strings."""
Value = str | bool | int | float
"""Of a hyperparameter."""
