"""A mark of what people have written into an object, so that nobody overwrites what they have not seen."""

import hashlib
import json

from tunebook_server.domain.errors import Stale


def edition(*values: str | int) -> str:
    """Twelve letters that change when one of the values does."""
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:12]


def refuse_stale(expected: str | None, current: str, *, what: str) -> None:
    """Stale unless the edit is based on the current edition; None stands for an edit that does not say."""
    if expected is not None and expected != current:
        raise Stale(
            f"Someone else has edited the {what} in the meantime.",
            remedy="Read it again, then repeat the edit.",
        )
