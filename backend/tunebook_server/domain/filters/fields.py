"""The fields that a study's trials can be filtered by, and how their names are looked up."""

import difflib

from tunebook_server.domain.document import is_number, show
from tunebook_server.domain.errors import Invalid
from tunebook_server.domain.filters.spelling import spelled
from tunebook_server.domain.filters.tree import STATES, TRIAL_FIELDS, Field
from tunebook_server.domain.filters.words import Word, wrong
from tunebook_server.domain.places import place
from tunebook_server.domain.search_space import Fixed, Float, Hyperparameter, Integer, SearchSpace
from tunebook_server.domain.trial import Value
from tunebook_server.domain.trial_columns import choices

NEAR_MOST = 3
LISTED_MOST = 20


def look_up(word: Word, space: SearchSpace, metric: str) -> Field:
    """A bare name is a trial's field, else the objective's metric, else a hyperparameter; a quoted one is a
    hyperparameter. Raises Invalid with the near names.
    """
    if word.kind == "bare" and word.text in TRIAL_FIELDS:
        return trial_field(word.text)
    if word.kind == "bare" and word.text == metric:
        return trial_field("objective")
    found = parameter_field(space, word.text)
    if found is None:
        raise _unknown(word, space, metric)
    return found


def trial_field(name: str) -> Field:
    return Field(name, TRIAL_FIELDS[name], options=STATES if name == "state" else ())


def parameter_field(space: SearchSpace, name: str) -> Field | None:
    """The hyperparameter of this key, or all of this name. None where there are none, or where some of them
    are numbers and some are not: those are compared by their keys."""
    keys = [node.key for node in space.nodes if name in (node.key, node.parameter.name)]
    numeric = {_is_numeric(space.parameter(key)) for key in keys}
    if len(numeric) != 1:
        return None
    options = [_options(space.parameter(key)) for key in keys]
    joined = tuple(dict.fromkeys(option for some in options for option in some)) if all(options) else ()
    places = tuple(place(space, key) for key in keys)
    return Field(name, "number" if numeric.pop() else "choice", places, joined)


def names(space: SearchSpace, metric: str) -> list[str]:
    """All fields as they are written: those of trials, hyperparameters by name, conditional ones by key."""
    shared = dict.fromkeys(parameter.name for parameter in space.parameters)
    one_kind = [name for name in shared if parameter_field(space, name)]
    keys = [key for key in space.keys if key not in shared]
    return [*TRIAL_FIELDS, *(spelled(name, metric) for name in (*one_kind, *keys))]


def _is_numeric(parameter: Hyperparameter) -> bool:
    return isinstance(parameter, Float | Integer) or all(is_number(value) for value in _options(parameter))


def _options(parameter: Hyperparameter) -> tuple[Value, ...]:
    return (parameter.value,) if isinstance(parameter, Fixed) else choices(parameter)


def _unknown(word: Word, space: SearchSpace, metric: str) -> Invalid:
    keys = [key for key in space.keys if key.rpartition("/")[2] == word.text]
    if keys:
        problem = f"some hyperparameters {show(word.text)} are numbers and some are not"
        return wrong(problem, word.position, _did_you_mean([spelled(key, metric) for key in keys]))
    what = "hyperparameter" if word.kind == "quoted" else "field"
    offered = {parameter.name: spelled(parameter.name, metric) for parameter in space.parameters}
    if word.kind == "bare":
        own = {name: name for name in (*TRIAL_FIELDS, metric)}
        offered = own | offered | own
    name = word.text if word.kind == "bare" else word.text.rpartition("/")[2]
    near = [offered[match] for match in difflib.get_close_matches(name[:100], list(offered), n=NEAR_MOST)]
    known = ", ".join(list(offered.values())[:LISTED_MOST])
    remedy = f"{what.capitalize()}s: {known}{', …' if len(offered) > LISTED_MOST else '.'}"
    problem = f"the study has no {what} {show(word.text)}"
    return wrong(problem, word.position, _did_you_mean(near) if near else remedy)


def _did_you_mean(texts: list[str]) -> str:
    return f"Did you mean {' or '.join(texts[:NEAR_MOST])}?"
