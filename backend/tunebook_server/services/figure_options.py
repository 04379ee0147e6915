"""Options of a figure as they stand in its address: text that is checked where it is used."""

import math
from collections.abc import Mapping
from typing import TypeVar

from tunebook_server.domain.errors import Invalid

TEXT_LONGEST = 4_000

Default = TypeVar("Default", bound=int | None)


class Options:
    """Reads options by name and remembers which; `refuse_others` then finds the misspelt ones."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self._given = given
        self._known: set[str] = set()

    def __contains__(self, name: str) -> bool:
        self._known.add(name)
        return name in self._given

    def text(self, name: str, default: str | None = None) -> str:
        self._known.add(name)
        found = self._given.get(name, default)
        if found is None:
            raise Invalid(f"{name} is missing", field=name, remedy=f"Add ?{name}=… to the address.")
        if len(found) > TEXT_LONGEST or "\x00" in found:
            raise Invalid(
                f"{name} is too long or holds NUL", field=name, remedy=f"Use up to {TEXT_LONGEST} characters."
            )
        return found

    def texts(self, name: str) -> list[str]:
        """Between commas."""
        return [word for word in self.text(name).split(",") if word]

    def word(self, name: str, allowed: tuple[str, ...], default: str) -> str:
        found = self.text(name, default)
        if found not in allowed:
            remedy = f"Use {' or '.join(word for word in allowed if word)}."
            raise Invalid(f"{name} is {found[:40]!r}", field=name, remedy=remedy)
        return found

    def switch(self, name: str, default: bool) -> bool:
        return self.word(name, ("on", "off"), "on" if default else "off") == "on"

    def positive(self, name: str) -> float | None:
        """A number above 0, None where it is not given."""
        if name not in self:
            return None
        found = self._number(name)
        if found <= 0:
            raise Invalid(f"{name} is {found:g}", field=name, remedy="Use a number above 0.")
        return found

    def integer(self, name: str, default: int | None, *, low: int, high: int) -> int:
        found = self.text(name, None if default is None else str(default))
        return _integer(name, found, low, high)

    def integers(self, name: str, *, most: int) -> list[int]:
        words = self.texts(name)
        if not 1 <= len(words) <= most:
            raise Invalid(
                f"{name} names {len(words)}", field=name, remedy=f"Name 1 to {most}, between commas."
            )
        return list(dict.fromkeys(_integer(name, word, 1, 2**63 - 1) for word in words))

    def range(self) -> tuple[float | None, float | None]:
        """`first` and `last` of the visible axis; both or none."""
        if "first" not in self and "last" not in self:
            return None, None
        first, last = (self._number(name) for name in ("first", "last"))
        if first > last:
            raise Invalid("first is above last", field="first", remedy="Swap them.")
        return first, last

    def refuse_others(self) -> None:
        for name in sorted(self._given.keys() - self._known):
            known = ", ".join(sorted(self._known))
            raise Invalid(
                f"this figure has no option {name[:40]!r}", field=name[:200], remedy=f"It has {known}."
            )

    def _number(self, name: str) -> float:
        try:
            found = float(self.text(name))
        except ValueError:
            found = math.nan
        if not abs(found) <= 1e300:
            raise Invalid(f"{name} is no number", field=name, remedy="Use a number.")
        return found


def _integer(name: str, word: str, low: int, high: int) -> int:
    try:
        number = int(word) if len(word) <= 20 else low - 1
    except ValueError:
        number = low - 1
    if not low <= number <= high:
        raise Invalid(
            f"{name} is {word[:40]!r}", field=name, remedy=f"Use a whole number from {low} to {high}."
        )
    return number
