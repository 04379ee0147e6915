"""All trials of a study: filtered, sorted and cut by the address."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from tunebook_server.domain.errors import Invalid
from tunebook_server.domain.filters import fields
from tunebook_server.domain.filters.tree import TRIAL_FIELDS
from tunebook_server.domain.paging import Page
from tunebook_server.domain.study import Study
from tunebook_server.pages import assets
from tunebook_server.pages.filter_examples import examples
from tunebook_server.pages.rendering import render
from tunebook_server.pages.route import Database, PageRoute, Person
from tunebook_server.pages.studies import STATES, Cursor, Id, Word, best_of, hash_of
from tunebook_server.pages.trial_table import Table, best_first, chosen, offered
from tunebook_server.services import projects, trials
from tunebook_server.services import studies as service
from tunebook_server.services.trial_pages import COUNT_MOST, TrialRow
from tunebook_server.storage.engine import Engine

router = APIRouter(route_class=PageRoute)

ROWS = 50
Columns = Annotated[list[Annotated[str, Query(max_length=10_000)]], Query(max_length=300)]
Expression = Annotated[str, Query(alias="filter", max_length=10_000)]


@dataclass(frozen=True, slots=True)
class Found:
    """A page of rows and how many there are in all, or why the filter cannot be read."""

    page: Page[TrialRow]
    matching: int = 0
    error: Invalid | None = None


@router.get("/studies/{study_id}/trials")
def study_trials(
    request: Request,
    study_id: Id,
    engine: Database,
    _: Person,
    *,
    expression: Expression = "",
    state: Word = "",
    sort: Annotated[str, Query(max_length=10_000)] = "",
    columns: Columns = [],  # noqa: B006 (FastAPI copies it)
    cursor: Cursor = "",
) -> Response:
    study = service.get(engine, study_id=study_id)
    etag = f'W/"{assets.version()}-{study.id}-{study.revision}-{hash_of(request)}"'
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers={"ETag": etag})
    order = sort or best_first(study)
    states = [state] if state else []
    found = _find(engine, study, states=states, expression=expression, sort=order, cursor=cursor)
    query = {"filter": expression, "state": state, "sort": sort, "columns": columns}
    best = best_of(engine, study)
    named = fields.names(study.space, study.objective.metric)
    return render(
        request,
        "trials.html",
        etag=etag,
        study=study,
        project=projects.get(engine, project_id=study.project_id),
        table=Table(found.page.items, chosen(study, columns), order, query),
        found=found,
        first=not cursor,
        counted=COUNT_MOST,
        offered=offered(study),
        expression=expression,
        state=state,
        states=[(name, study.counts.get(name, 0)) for name in STATES],
        examples=examples(study.space, study.objective, best.objective if best else None),
        trial_fields=named[: len(TRIAL_FIELDS)],
        parameter_fields=named[len(TRIAL_FIELDS) :],
        export={"filter": expression, "state": state},
    )


def _find(
    engine: Engine, study: Study, *, states: Sequence[str], expression: str, sort: str, cursor: str
) -> Found:
    try:
        page = trials.page(
            engine,
            study_id=study.id,
            states=states,
            sort=sort,
            expression=expression,
            limit=ROWS,
            cursor=cursor or None,
        )
    except Invalid as invalid:
        if invalid.field == "filter":
            return Found(Page(()), error=invalid)
        raise
    return Found(page, trials.count(engine, study=study, states=states, expression=expression))
