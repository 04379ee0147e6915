"""From the text of a filter to its tree, by recursive descent; names and types are not looked at here.

filter     = every ("or" every)*
every      = part ("and" part)*
part       = "not" part | "(" filter ")" | comparison
comparison = field ("=" | "!=" | "<" | "<=" | ">" | ">=" | "contains") value
           | field "in" "(" value ("," value)* ")"
           | field "is" ["not"] "none"
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import get_args

from tunebook_server.domain.errors import Invalid
from tunebook_server.domain.filters.tree import Every, Not, Operator, Some, Tree
from tunebook_server.domain.filters.words import Word, cut, wrong

DEPTH_MOST = 20
"""Of `not` and brackets in each other."""
COMPARISONS_MOST = 50
_SIGNS: dict[str, Operator] = {name: name for name in get_args(Operator) if " " not in name and name != "in"}


@dataclass(frozen=True, slots=True)
class Written:
    """A comparison as it was written: nothing is known yet of its field."""

    field: Word
    operator: Operator
    at: int
    """The position of the operator."""
    values: tuple[Word, ...] = ()


def parse(text: str) -> Tree[Written] | None:
    """None for a text without words. Raises Invalid: where, what was found and what would do."""
    words = cut(text)
    return None if words[0].kind == "end" else _Parser(words).whole()


class _Parser:
    def __init__(self, words: list[Word]) -> None:
        self._words = words
        self._place = 0
        self._comparisons = 0

    @property
    def _word(self) -> Word:
        return self._words[self._place]

    def whole(self) -> Tree[Written]:
        tree = self._some(0)
        if self._word.kind != "end":
            raise self._unexpected("Join comparisons by and, or; put texts of several words in quotes.")
        return tree

    def _some(self, depth: int) -> Tree[Written]:
        parts = self._joined("or", lambda: self._every(depth))
        return Some(parts) if len(parts) > 1 else parts[0]

    def _every(self, depth: int) -> Tree[Written]:
        parts = self._joined("and", lambda: self._part(depth))
        return Every(parts) if len(parts) > 1 else parts[0]

    def _joined(self, keyword: str, part: Callable[[], Tree[Written]]) -> tuple[Tree[Written], ...]:
        parts = [part()]
        while self._word.keyword == keyword:
            self._take()
            parts.append(part())
        return tuple(parts)

    def _part(self, depth: int) -> Tree[Written]:
        opening = self._word
        if depth > DEPTH_MOST:
            raise wrong(f"more than {DEPTH_MOST} levels deep", opening.position, "Leave brackets out.")
        if opening.keyword == "not":
            self._take()
            return Not(self._part(depth + 1))
        if opening.text == "(" and opening.kind == "sign":
            self._take()
            inside = self._some(depth + 1)
            self._expect(")", f"Close the bracket of position {opening.position}.")
            return inside
        return self._comparison()

    def _comparison(self) -> Written:
        field = self._word
        if field.kind not in ("bare", "quoted") or field.keyword:
            raise self._unexpected("A comparison begins with a field: objective < 0.1, state = failed.")
        self._take()
        self._comparisons += 1
        if self._comparisons > COMPARISONS_MOST:
            raise wrong(
                f"more than {COMPARISONS_MOST} comparisons", field.position, "Use in (…) for several."
            )
        operator = self._take()
        word = operator.keyword or (operator.text if operator.kind == "sign" else "")
        match word:
            case "is":
                return Written(field, self._none(), operator.position)
            case "in":
                return Written(field, "in", operator.position, self._listed())
            case _ if word in _SIGNS:
                return Written(field, _SIGNS[word], operator.position, (self._value(),))
        self._place -= 1
        raise self._unexpected(f"After {field.shown()} comes = != < <= > >= in, contains or is none.")

    def _none(self) -> Operator:
        negated = self._word.keyword == "not"
        if negated:
            self._take()
        if self._word.keyword != "none":
            raise self._unexpected("After is comes none or not none; for equality write =.")
        self._take()
        return "is not none" if negated else "is none"

    def _listed(self) -> tuple[Word, ...]:
        self._expect("(", "After in comes a list in brackets: in (1, 2).")
        values = [self._value()]
        while self._word.text == "," and self._word.kind == "sign":
            self._take()
            values.append(self._value())
        self._expect(")", "Separate values by commas and close the list with a bracket.")
        return tuple(values)

    def _value(self) -> Word:
        if self._word.keyword == "none":
            raise self._unexpected("Write is none or is not none.")
        if self._word.kind not in ("number", "bare", "quoted") or self._word.keyword:
            raise self._unexpected("Here comes a value: a number, a word, or a text in double quotes.")
        return self._take()

    def _take(self) -> Word:
        word = self._word
        self._place = min(self._place + 1, len(self._words) - 1)
        return word

    def _expect(self, sign: str, remedy: str) -> None:
        if self._word.kind != "sign" or self._word.text != sign:
            raise self._unexpected(remedy)
        self._take()

    def _unexpected(self, remedy: str) -> Invalid:
        return wrong(f"found {self._word.shown()}", self._word.position, remedy)
