"""A round: one narrow goal, the studies that look for its answer, and what they have shown together."""

from dataclasses import dataclass
from datetime import datetime

from tunebook_server.domain.edition import edition


@dataclass(frozen=True, slots=True)
class Round:
    id: int
    project_id: int
    name: str
    goal: str
    conclusion: str
    revision: int
    created_by: str
    created_at: datetime
    changed_at: datetime

    @property
    def edition(self) -> str:
        """Changes with what people write into it."""
        return edition(self.name, self.goal, self.conclusion)


@dataclass(frozen=True, slots=True)
class RoundSummary:
    round: Round
    studies: int
    running_studies: int
