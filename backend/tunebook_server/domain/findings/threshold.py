"""A number that an item of the checklist judges by, and that a study may override."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Threshold:
    """`name`: "FILE.NUMBER"; a study may give a value from `low` to `high`, a whole number where `default` is
    one; `says`: what it means, as a sentence."""

    name: str
    default: float
    low: float
    high: float
    says: str

    @property
    def whole(self) -> bool:
        return isinstance(self.default, int)
