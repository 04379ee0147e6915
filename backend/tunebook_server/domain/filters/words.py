"""The words of a filter with their positions."""

import re
from dataclasses import dataclass
from typing import Literal

from tunebook_server.domain.document import show, text_problem
from tunebook_server.domain.errors import Invalid

LONGEST = 2_000
"""Characters of a filter."""
KEYWORDS = frozenset(("and", "or", "not", "in", "is", "none", "contains"))
NUMBER_WORDS = frozenset(("nan", "infinity", "+infinity", "-infinity"))
BARE = re.compile(r"[^\W\d][\w./:@%+-]*")

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_INFINITY = re.compile(r"[+-]infinity(?![\w./:@%+-])", re.IGNORECASE)
_QUOTED = re.compile(r"""(["'])(?:(?!\1)[^\\]|\\[\\"'])*\1""")
_SIGN = re.compile(r"<=|>=|!=|[=<>(),]")
_BORDER = re.compile(r"[\s=<>!(),]|$")
_CHUNK = re.compile(r"[^\s(),]+")


@dataclass(frozen=True, slots=True)
class Word:
    """`text` of a quoted one is what stands between the quotes. `position` counts characters from 1."""

    kind: Literal["number", "quoted", "bare", "sign", "end"]
    text: str
    position: int

    @property
    def keyword(self) -> str:
        """In small letters; empty for any other word."""
        lower = self.text.lower()
        return lower if self.kind == "bare" and lower in KEYWORDS else ""

    def shown(self) -> str:
        """As it may stand in a message."""
        return "the end" if self.kind == "end" else show(self.text) if self.kind == "quoted" else _cut(self)


def wrong(problem: str, position: int, remedy: str) -> Invalid:
    return Invalid(f"{problem}, at position {position}", field="filter", remedy=remedy)


def cut(text: str) -> list[Word]:
    """All words of a filter, "end" after the last. Raises Invalid for what is no word."""
    problem = text_problem(text, limit=LONGEST)
    if problem:
        remedy = f"Write one line of at most {LONGEST:,} characters."
        raise Invalid(f"the filter {problem}", field="filter", remedy=remedy)
    words = []
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        word, at = _next(text, at)
        words.append(word)
    return [*words, Word("end", "", len(text) + 1)]


def _next(text: str, at: int) -> tuple[Word, int]:
    if text[at] in "\"'":
        found = _QUOTED.match(text, at)
        if found is None:
            remedy = 'Close it with the same quote; inside, write \\" for a quote and \\\\ for a backslash.'
            raise wrong("the text in quotes has no end or a single backslash", at + 1, remedy)
        return Word("quoted", re.sub(r"\\(.)", r"\1", found[0][1:-1]), at + 1), found.end()
    if found := _NUMBER.match(text, at):
        if not _BORDER.match(text, found.end()):
            raise _no_word(text, at, "Write a number alone; write texts and times in double quotes.")
        return Word("number", found[0], at + 1), found.end()
    if found := _INFINITY.match(text, at) or BARE.match(text, at):
        return Word("bare", found[0], at + 1), found.end()
    if found := _SIGN.match(text, at):
        return Word("sign", found[0], at + 1), found.end()
    raise _no_word(text, at, "Signs are = != < <= > >= ( ) and the comma; write texts in double quotes.")


def _no_word(text: str, at: int, remedy: str) -> Invalid:
    chunk = _CHUNK.match(text, at)
    return wrong(f"{show(chunk[0] if chunk else text[at])} cannot be read", at + 1, remedy)


def _cut(word: Word) -> str:
    return word.text if len(word.text) <= 60 else word.text[:57] + "…"
