"""The table of a study's trials: sorted, filtered and cut on the server."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tunebook_server.domain import paging
from tunebook_server.domain.document import show
from tunebook_server.domain.edition import edition
from tunebook_server.domain.errors import Invalid
from tunebook_server.domain.filters import check
from tunebook_server.domain.paging import Key, Page
from tunebook_server.domain.places import place
from tunebook_server.domain.search_space import Boolean, Categorical, Fixed
from tunebook_server.domain.study import Study
from tunebook_server.domain.texts import name_text
from tunebook_server.domain.trial import Trial, TrialState, Value
from tunebook_server.services import studies
from tunebook_server.storage import trial_pages
from tunebook_server.storage.engine import Engine, transaction
from tunebook_server.storage.trial_fields import Kind
from tunebook_server.storage.trial_pages import Order, Wanted

COUNT_MOST = 20_000
"""Trials that are counted one by one for a filter: more than most studies have."""
COLUMNS: Mapping[str, Kind] = {
    "number": "number",
    "objective": "number",
    "state": "text",
    "best_step": "number",
    "last_step": "number",
    "duration": "number",
    "attempts": "number",
    "worker": "text",
    "created_at": "time",
    "started_at": "time",
    "finished_at": "time",
}
_KINDS: Mapping[Kind, tuple[type, ...]] = {
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
    expression: str = "",
    limit: int = 100,
    cursor: str | None = None,
) -> Page[TrialRow]:
    """`sort`: a column, "parameters.KEY" or "last.METRIC", descending with "-" in front; missing values last.

    `expression` is a filter (docs/filters.md). Raises Invalid for an unknown word.
    """
    paging.page_size(limit)
    with transaction(engine) as connection:
        study = studies.known(connection, study_id)
        order = _order(study, sort)
        mark = edition(sort, expression.strip(), *sorted(states))
        found = trial_pages.after(
            connection,
            study_id,
            order=order,
            wanted=wanted(study, states, expression),
            position=_position(cursor, mark, order),
            limit=limit + 1,
        )
    rows = [TrialRow(at.trial, study.space.locate(at.trial.parameters), at.worker) for at in found[:limit]]
    return Page(tuple(rows), paging.encode(mark, *found[limit - 1].position) if len(found) > limit else None)


def count(engine: Engine, *, study: Study, states: Sequence[str] = (), expression: str = "") -> int:
    """How many trials there are in these states that the filter holds for, counted up to `COUNT_MOST`."""
    found = wanted(study, states, expression)
    if found.filter is None:
        return sum(study.counts.get(state, 0) for state in found.states or TrialState)
    with transaction(engine) as connection:
        return trial_pages.count(connection, study.id, wanted=found, most=COUNT_MOST)


def wanted(study: Study, states: Sequence[str], expression: str) -> Wanted:
    """Raises Invalid for field `state` or `filter`."""
    metric = study.objective.metric
    return Wanted(_states(states), check.read(expression, space=study.space, metric=metric))


def _order(study: Study, sort: str) -> Order:
    descending, name = sort.startswith("-"), sort.removeprefix("-")
    if name in COLUMNS:
        return Order(name, COLUMNS[name], descending)
    kind, _, rest = name.partition(".")
    if kind == "parameters":
        if rest not in study.space.keys:
            remedy = f"Use one of {', '.join(study.space.keys[:20])}."
            raise Invalid(f"the study has no hyperparameter {show(rest)}", field="sort", remedy=remedy)
        is_text = isinstance(study.space.parameter(rest), Categorical | Boolean | Fixed)
        return Order(place(study.space, rest), "text" if is_text else "number", descending)
    if kind == "last" and rest:
        return Order(("last", name_text(rest, field="sort")), "number", descending)
    remedy = f"Use {', '.join(COLUMNS)}, parameters.KEY or last.METRIC."
    raise Invalid(f"trials cannot be sorted by {show(name)}", field="sort", remedy=remedy)


def _position(cursor: str | None, mark: str, order: Order) -> tuple[Key, int] | None:
    if cursor is None:
        return None
    earlier, key, number = paging.decode(cursor, str, _KINDS[order.kind], int)
    if earlier != mark:
        problem = "the cursor belongs to another order or filter"
        raise Invalid(problem, field="cursor", remedy="Start without a cursor.")
    if order.kind == "time" and key is not None:
        key = paging.time_text(str(key))
    return key, int(number or 0)


def _states(states: Sequence[str]) -> list[TrialState]:
    known = [state.value for state in TrialState]
    for state in states:
        if state not in known:
            raise Invalid(f"state is {show(state)}", field="state", remedy=f"Use {', '.join(known)}.")
    return [TrialState(state) for state in states]
