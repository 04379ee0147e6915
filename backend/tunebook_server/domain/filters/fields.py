"""The fields that a study's trials can be filtered by, and how their names are looked up."""

import difflib

from tunebook_server.domain.document import is_number, show
from tunebook_server.domain.errors import Invalid
from tunebook_server.domain.filters.spelling import spelled
from tunebook_server.domain.filters.tree import STATES, TRIAL_FIELDS, Field
from tunebook_server.domain.filters.words import Word, wrong
from tunebook_server.domain.places import place
from tunebook_server.domain.search_space import Fixed, Float, Integer, SearchSpace
from tunebook_server.domain.trial import Value
from tunebook_server.domain.trial_columns import choices

NEAR_MOST = 3
LISTED_MOST = 20


def look_up(word: Word, space: SearchSpace, metric: str) -> Field:
    """A bare name is a trial's field, else the objective's metric, else a key; a quoted one is a key.

    Raises Invalid with the near names.
    """
    if word.kind == "bare":
        if word.text == metric and word.text not in TRIAL_FIELDS:
            return trial_field("objective")
        if word.text in TRIAL_FIELDS:
            return trial_field(word.text)
    if word.text in space.keys:
        return parameter_field(space, word.text)
    raise _unknown(word, space, metric)


def trial_field(name: str) -> Field:
    return Field(name, TRIAL_FIELDS[name], options=STATES if name == "state" else ())


def parameter_field(space: SearchSpace, key: str) -> Field:
    parameter = space.parameter(key)
    options: tuple[Value, ...] = (
        (parameter.value,) if isinstance(parameter, Fixed) else tuple(choices(parameter))
    )
    numeric = isinstance(parameter, Float | Integer) or all(is_number(option) for option in options)
    return Field(key, "number" if numeric else "choice", place(space, key), options)


def names(space: SearchSpace, metric: str) -> list[str]:
    """All fields as they are written."""
    return [*TRIAL_FIELDS, *(spelled(key, metric) for key in space.keys)]


def _unknown(word: Word, space: SearchSpace, metric: str) -> Invalid:
    # A conditional key is known by its end, the name that people remember.
    offered = [(key.rpartition("/")[2], _short(spelled(key, metric))) for key in space.keys]
    if word.kind == "bare":
        offered = [(name, name) for name in (*TRIAL_FIELDS, metric)] + offered
    endings = list(dict.fromkeys(ending for ending, _ in offered))
    wanted = word.text if word.kind == "bare" else word.text.rpartition("/")[2]
    matches = difflib.get_close_matches(wanted[:100], endings, n=NEAR_MOST)
    near = [text for match in matches for ending, text in offered if ending == match]
    what = "hyperparameter" if word.kind == "quoted" else "field"
    known = ", ".join(text for _, text in offered[:LISTED_MOST])
    remedy = f"{what.capitalize()}s: {known}{', …' if len(offered) > LISTED_MOST else '.'}"
    if near:
        remedy = f"Did you mean {' or '.join(near[:NEAR_MOST])}?"
    return wrong(f"the study has no {what} {show(word.text)}", word.position, remedy)


def _short(name: str) -> str:
    return name if len(name) <= 100 else name[:99] + "…"
