"""Pages by keyset: a cursor says after which row to go on, so that page 1,000 costs what page 1 costs."""

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from tunebook_server.domain.document import text_problem
from tunebook_server.domain.errors import Invalid

Item = TypeVar("Item")
Key = float | int | str | bool | None
LIMIT_MOST = 1000


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """Some items in order; `next` is the cursor of the page after, None on the last one."""

    items: tuple[Item, ...]
    next: str | None = None


def encode(*position: Key) -> str:
    """An opaque cursor. Floats survive exactly, NaN and infinity too."""
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode().rstrip("=")


def decode(cursor: str, *kinds: type | tuple[type, ...]) -> tuple[Key, ...]:
    """The position that `encode` wrote; Invalid when it has not these kinds of values."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        position = json.loads(base64.b64decode(padded.encode("ascii"), altchars=b"-_", validate=True))
    except (ValueError, RecursionError):
        raise _unreadable() from None
    if not isinstance(position, list) or len(position) != len(kinds):
        raise _unreadable()
    if not all(_fits(value, kind) for value, kind in zip(position, kinds, strict=True)):
        raise _unreadable()
    return tuple(position)


def page_size(limit: int) -> int:
    """A limit between 1 and 1,000; Invalid otherwise."""
    if not 1 <= limit <= LIMIT_MOST:
        raise Invalid(f"limit is {limit}", field="limit", remedy=f"Ask for 1 to {LIMIT_MOST} at a time.")
    return limit


def cut(items: Sequence[Item], limit: int, position: Callable[[Item], tuple[Key, ...]]) -> Page[Item]:
    """A page out of up to `limit` + 1 items; `position` of the last one shown becomes the cursor."""
    shown = tuple(items[:limit])
    return Page(shown, encode(*position(shown[-1])) if len(items) > limit else None)


def time_text(value: str) -> str:
    """A time that a cursor held; Invalid when it is none."""
    try:
        return datetime.fromisoformat(value).isoformat()
    except ValueError:
        raise _unreadable() from None


def _fits(value: object, kind: type | tuple[type, ...]) -> bool:
    if isinstance(value, str):
        return isinstance(value, kind) and text_problem(value, limit=1000) is None
    if isinstance(value, int) and not isinstance(value, bool):
        return isinstance(value, kind) and -(2**63) <= value < 2**63
    return isinstance(value, kind)


def _unreadable() -> Invalid:
    return Invalid("the cursor cannot be read", field="cursor", remedy="Start again without a cursor.")
