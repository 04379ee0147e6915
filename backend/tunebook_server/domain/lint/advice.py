"""Advice on a design before it starts: what a colleague would say, why, and what to change."""

from collections.abc import Sequence
from dataclasses import dataclass

from tunebook_server.domain.changes import Mend


@dataclass(frozen=True, slots=True)
class Advice:
    """`field`: where in the study document ("space.2.scale"); `key`: the hyperparameter that it is about,
    empty for the whole study; `title`: the words on the button of the mend; `changes`: the mend, empty where
    no change of this design alone would do."""

    rule: str
    sentence: str
    reason: str
    source: str
    field: str
    title: str
    changes: Sequence[Mend]
    key: str = ""

    @property
    def name(self) -> str:
        """Tells the advices on one design apart."""
        return f"{self.rule}:{self.key}" if self.key else self.rule
