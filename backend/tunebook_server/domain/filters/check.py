"""A parsed filter against a study: every field is known, every value fits it."""

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from tunebook_server.domain.document import show
from tunebook_server.domain.errors import Invalid
from tunebook_server.domain.filters.fields import look_up
from tunebook_server.domain.filters.parser import Written, parse
from tunebook_server.domain.filters.spelling import value as spelled_value
from tunebook_server.domain.filters.tree import (
    Comparison,
    Every,
    Field,
    Filter,
    Kind,
    Not,
    Operator,
    Some,
    Tree,
)
from tunebook_server.domain.filters.words import NUMBER_WORDS, Word, wrong
from tunebook_server.domain.hyperparameter import same_value
from tunebook_server.domain.search_space import SearchSpace
from tunebook_server.domain.trial import Value

OPTIONS_SHOWN = 20
_ANY: tuple[Operator, ...] = ("=", "!=", "in", "is none", "is not none")
_ORDER: tuple[Operator, ...] = ("<", "<=", ">", ">=")
OPERATORS: Mapping[Kind, tuple[Operator, ...]] = {
    "number": (*_ORDER, *_ANY),
    "time": (*_ORDER, *_ANY),
    "text": ("contains", *_ANY),
    "choice": _ANY,
}
_NOUNS: Mapping[Kind, str] = {
    "number": "a number",
    "time": "a time",
    "text": "a text",
    "choice": "one of a few values",
}


def read(text: str, *, space: SearchSpace, metric: str) -> Filter | None:
    """The filter that `text` means for a study; None for no text. Raises Invalid for field `filter`."""
    tree = parse(text)
    return None if tree is None else _checked(tree, space, metric)


def _checked(tree: Tree[Written], space: SearchSpace, metric: str) -> Filter:
    match tree:
        case Every(parts):
            return Every(tuple(_checked(part, space, metric) for part in parts))
        case Some(parts):
            return Some(tuple(_checked(part, space, metric) for part in parts))
        case Not(part):
            return Not(_checked(part, space, metric))
        case Written():
            return _comparison(tree, look_up(tree.field, space, metric))


def _comparison(written: Written, field: Field) -> Comparison:
    if written.operator not in OPERATORS[field.kind]:
        problem = f"{written.field.shown()} is {_NOUNS[field.kind]}: {written.operator} does not fit it"
        raise wrong(problem, written.at, f"Use one of {', '.join(OPERATORS[field.kind])}.")
    # What is above or below may lie between the options.
    options = () if written.operator in _ORDER else field.options
    asked = replace(field, options=options)
    values = tuple(_value(word, asked, written.field.shown()) for word in written.values)
    return Comparison(field, written.operator, values)


def _value(word: Word, field: Field, name: str) -> Value | datetime:
    match field.kind:
        case "number":
            number = _number(word, name)
            return number if not field.options else float(_option(word, number, field, name))
        case "time":
            return _time(word, name)
        case "text":
            return _text(word, name)
        case "choice":
            return _option(word, _meant(word, field), field, name)


def _number(word: Word, name: str) -> float:
    is_word = word.kind == "bare" and word.text.lower() in NUMBER_WORDS
    if word.kind != "number" and not is_word:
        remedy = "Write a number without quotes, NaN, Infinity or -Infinity."
        raise wrong(f"{name} is a number, {word.shown()} is a text", word.position, remedy)
    number = float(word.text)
    if math.isinf(number) and not is_word:
        remedy = "Write at most 1.8e308, or Infinity."
        raise wrong(f"{word.shown()} is larger than a float64 holds", word.position, remedy)
    return number


def _time(word: Word, name: str) -> datetime:
    try:
        found = datetime.fromisoformat(word.text) if word.kind == "quoted" else None
        if found is not None:
            return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        pass
    remedy = 'Write it like "2026-11-24" or "2026-11-24T18:30", in UTC, or with an offset like +01:00.'
    raise wrong(f"{name} is a time, {word.shown()} is none", word.position, remedy)


def _text(word: Word, name: str) -> str:
    if word.kind == "number":
        remedy = f'Write it in quotes: "{word.shown()}".'
        raise wrong(f"{name} is a text, {word.shown()} is a number", word.position, remedy)
    if not word.text:
        remedy = f"Write {name} is none for one without text."
        raise wrong("the text in quotes is empty", word.position, remedy)
    return word.text


def _meant(word: Word, field: Field) -> Value:
    """What a word stands for: true and false where the field can hold them, numbers, or else itself."""
    if word.kind == "number":
        return float(word.text)
    truth = {"true": True, "false": False}.get(word.text.lower())
    holds_truth = any(isinstance(option, bool) for option in field.options)
    return truth if word.kind == "bare" and truth is not None and holds_truth else word.text


def _option(word: Word, meant: Value, field: Field, name: str) -> Value:
    for option in field.options:
        if same_value(option, meant):
            return option
    raise _no_option(word, field, name)


def _no_option(word: Word, field: Field, name: str) -> Invalid:
    some = ", ".join(_spelled_short(option) for option in field.options[:OPTIONS_SHOWN])
    more = ", …" if len(field.options) > OPTIONS_SHOWN else "."
    found = show(word.text) if word.kind == "quoted" else word.shown()
    return wrong(f"{name} cannot be {found}", word.position, f"Its values: {some}{more}")


def _spelled_short(option: Value) -> str:
    text = spelled_value(option)
    return text if len(text) <= 60 else text[:59] + "…"
