"""The table of a study's trials: sorted, filtered and cut on the server."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tunebook_server.domain import paging
from tunebook_server.domain.document import show
from tunebook_server.domain.errors import Invalid
from tunebook_server.domain.paging import Key, Page
from tunebook_server.domain.search_space import Boolean, Categorical, Fixed, Hyperparameter, SearchSpace
from tunebook_server.domain.study import Study
from tunebook_server.domain.texts import long_text, name_text
from tunebook_server.domain.trial import Trial, TrialState, Value
from tunebook_server.services import studies
from tunebook_server.storage import trial_pages
from tunebook_server.storage.engine import Engine, transaction
from tunebook_server.storage.trial_pages import Filter, Order, Place

COLUMNS: Mapping[str, trial_pages.Kind] = {
    "number": "number",
    "objective": "number",
    "state": "text",
    "best_step": "number",
    "last_step": "number",
    "attempts": "number",
    "created_at": "time",
    "started_at": "time",
    "finished_at": "time",
}
_KINDS: Mapping[trial_pages.Kind, tuple[type, ...]] = {
    "number": (float, int, type(None)),
    "text": (str, type(None)),
    "time": (str, type(None)),
}


@dataclass(frozen=True, slots=True)
class TrialRow:
    """A line of the table; `values` are the hyperparameters by key: conditional ones have their columns."""

    trial: Trial
    values: Mapping[str, Value]
    worker: str


def page(
    engine: Engine,
    *,
    study_id: int,
    states: Sequence[str] = (),
    sort: str = "-number",
    search: str = "",
    filters: Mapping[str, Sequence[str]] | None = None,
    limit: int = 100,
    cursor: str | None = None,
) -> Page[TrialRow]:
    """`sort`: a column, "parameters.KEY" or "last.METRIC", descending with "-" in front; missing values last.

    `filters`: the allowed values (as text) by key of a hyperparameter. Raises Invalid for an unknown word.
    """
    paging.page_size(limit)
    long_text(search, field="search", limit=200)
    with transaction(engine) as connection:
        study = studies.known(connection, study_id)
        order = _order(study, sort)
        wanted = Filter(_states(states), search.strip(), _filters(study, filters or {}))
        position = _position(cursor, sort, order)
        found = trial_pages.after(
            connection, study_id, order=order, wanted=wanted, position=position, limit=limit + 1
        )
    rows = [TrialRow(at.trial, study.space.locate(at.trial.parameters), at.worker) for at in found[:limit]]
    return Page(tuple(rows), paging.encode(sort, *found[limit - 1].position) if len(found) > limit else None)


def _order(study: Study, sort: str) -> Order:
    descending, name = sort.startswith("-"), sort.removeprefix("-")
    if name in COLUMNS:
        return Order(name, COLUMNS[name], descending)
    kind, _, rest = name.partition(".")
    if kind == "parameters":
        parameter = _parameter(study.space, rest, field="sort")
        is_text = isinstance(parameter, Categorical | Boolean | Fixed)
        return Order(_place(study.space, rest), "text" if is_text else "number", descending)
    if kind == "last" and rest:
        return Order(("last", name_text(rest, field="sort")), "number", descending)
    remedy = f"Use {', '.join(COLUMNS)}, parameters.KEY or last.METRIC."
    raise Invalid(f"trials cannot be sorted by {show(name)}", field="sort", remedy=remedy)


def _position(cursor: str | None, sort: str, order: Order) -> tuple[Key, int] | None:
    if cursor is None:
        return None
    earlier, key, number = paging.decode(cursor, str, _KINDS[order.kind], int)
    if earlier != sort:
        raise Invalid("the cursor belongs to another order", field="cursor", remedy="Start without a cursor.")
    if order.kind == "time" and key is not None:
        key = paging.time_text(str(key))
    return key, int(number or 0)


def _states(states: Sequence[str]) -> list[TrialState]:
    known = [state.value for state in TrialState]
    for state in states:
        if state not in known:
            raise Invalid(f"state is {show(state)}", field="state", remedy=f"Use {', '.join(known)}.")
    return [TrialState(state) for state in states]


def _filters(study: Study, filters: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    for key, values in filters.items():
        _parameter(study.space, key, field="filters")
        for value in values:
            name_text(value, field=f"filters.{key}")
    return {_place(study.space, key).name: list(values) for key, values in filters.items()}


def _parameter(space: SearchSpace, key: str, *, field: str) -> Hyperparameter:
    if key in space.keys:
        return space.parameters[space.keys.index(key)]
    raise Invalid(
        f"the study has no hyperparameter {show(key)}",
        field=field,
        remedy=f"Use one of {', '.join(space.keys[:20])}.",
    )


def _place(space: SearchSpace, key: str) -> Place:
    node = space.nodes[space.keys.index(key)]
    needs = [
        (space.parameters[at].name, tuple(sorted(_json_text(value) for value in values)))
        for at, values in node.needs.items()
    ]
    return Place(node.parameter.name, tuple(needs))


def _json_text(value: Value) -> str:
    """The value as Postgres' ->> shows it."""
    return value if isinstance(value, str) else json.dumps(value)
