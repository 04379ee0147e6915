"""What a colleague would say of a study's design before it starts. It never blocks."""

from tunebook_server.domain.lint.advice import Advice
from tunebook_server.domain.lint.rules import RULES, lint

__all__ = ["RULES", "Advice", "lint"]
