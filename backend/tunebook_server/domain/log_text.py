"""Output of training jobs as text to be read: nothing in it moves a cursor or turns a line around."""

import re

# ECMA-48: control sequences, operating system commands (up to their end or a new escape), two-letter escapes.
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-Z\\^-~])")
_CUT_ESCAPE = re.compile(rb"(?:\x1b(?:\[[0-?]{0,60}[ -/]{0,4}|\][^\x07\x1b]{0,200})?|\r)\Z")
_BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_SHOWN = {
    **{code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\t\n"},
    0x7F: "\u2421",
    **dict.fromkeys(range(0x80, 0xA0), "\ufffd"),
    **{ord(letter): f"<U+{ord(letter):04X}>" for letter in _BIDI},
    0x2028: "\n",
    0x2029: "\n",
}


def inert(text: str) -> str:
    """Colours and cursor moves left out, `\\r` (of progress bars) as the end of a line, other control
    characters as their symbols, and marks that change the direction of writing by their numbers."""
    return _ESCAPES.sub("", text).replace("\r\n", "\n").replace("\r", "\n").translate(_SHOWN)


def cut(content: bytes, *, head: bool, tail: bool) -> tuple[int, int]:
    """How much of a piece to leave out at its `head` and its `tail`, so that no letter and no escape sequence
    is cut in two; (0, 0) where nothing else would be left.
    """
    start = _continued(content) if head else 0
    end = _unfinished(content) if tail else 0
    return (start, end) if start + end < len(content) else (0, 0)


def folded(text: str) -> str:
    """Without regard to case, letter by letter: the length stays."""
    lowered = text.lower()
    if len(lowered) != len(text):  # a few letters become two
        lowered = "".join(low if len(low := letter.lower()) == 1 else letter for letter in text)
    return lowered.replace("ς", "σ")  # which of the two `lower` gives depends on what follows


def first_match(content: bytes, wanted: str) -> tuple[int, int] | None:
    """First and last byte (without it) of the first place of `wanted`, which is folded."""
    text = _decoded(content)
    place = folded(text).find(wanted)
    return None if place < 0 else _bytes_of(text, place, len(wanted))


def last_match(content: bytes, wanted: str, *, before: int) -> tuple[int, int] | None:
    """The same of the last place that starts before the byte `before`."""
    text = _decoded(content)
    lowered, end = folded(text), len(text)
    while (place := lowered.rfind(wanted, 0, end)) >= 0:
        found = _bytes_of(text, place, len(wanted))
        if found[0] < before:
            return found
        end = place + len(wanted) - 1
    return None


def _decoded(content: bytes) -> str:
    return content.decode("utf-8", "surrogateescape")  # each wrong byte stays one: places can be counted back


def _bytes_of(text: str, place: int, length: int) -> tuple[int, int]:
    first = len(text[:place].encode("utf-8", "surrogateescape"))
    return first, first + len(text[place : place + length].encode("utf-8", "surrogateescape"))


def _continued(content: bytes) -> int:
    """Bytes at the start that continue a letter of UTF-8: at most 3."""
    return next((place for place, byte in enumerate(content[:4]) if byte & 0xC0 != 0x80), 0)


def _unfinished(content: bytes) -> int:
    """Bytes at the end that begin a letter or an escape sequence and do not end it."""
    escape = _CUT_ESCAPE.search(content[-256:])
    if escape is not None:
        return len(escape[0])
    for length in range(1, min(4, len(content) + 1)):
        byte = content[-length]
        if byte & 0xC0 != 0x80:
            needed = 4 if byte >= 0xF0 else 3 if byte >= 0xE0 else 2 if byte >= 0xC0 else 1
            return length if needed > length else 0
    return 0
