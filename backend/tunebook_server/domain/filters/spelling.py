"""Names and values as a filter writes them: bare where that reads back as the same, else in quotes."""

from tunebook_server.domain.filters.tree import TRIAL_FIELDS
from tunebook_server.domain.filters.words import BARE, KEYWORDS, NUMBER_WORDS
from tunebook_server.domain.trial import Value


def spelled(key: str, metric: str) -> str:
    """A hyperparameter's key; quoted also where a trial's field or the metric has that name."""
    return quoted(key) if key in TRIAL_FIELDS or key == metric else _plain(key)


def objective(metric: str) -> str:
    """The metric's own name where it can stand bare."""
    return metric if _plain(metric) == metric and metric not in TRIAL_FIELDS else "objective"


def value(given: Value) -> str:
    if isinstance(given, bool):
        return "true" if given else "false"
    if isinstance(given, str):
        return quoted(given) if given.lower() in ("true", "false") else _plain(given)
    return repr(given)


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _plain(text: str) -> str:
    is_bare = BARE.fullmatch(text) and text.lower() not in KEYWORDS | NUMBER_WORDS
    return text if is_bare else quoted(text)
