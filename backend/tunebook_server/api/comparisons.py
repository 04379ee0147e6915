"""Several studies at once: their figures, the numbers behind those, and whether they compare fairly."""

from typing import Annotated, Any, Literal

from fastapi import Query, Request, Response

from tunebook_server.api.access import Database, Reader
from tunebook_server.api.conditional import NOT_MODIFIED
from tunebook_server.api.figures import (
    TABLE_CONTENT,
    Format,
    PlotlyFigure,
    Table,
    parameters,
    send_figure,
    send_table,
)
from tunebook_server.api.route import router_of
from tunebook_server.api.schemas.comparisons import ComparisonOut
from tunebook_server.services import comparisons, figures
from tunebook_server.services.across_figures import table_of
from tunebook_server.services.compared import STUDIES_MOST
from tunebook_server.services.comparisons import Comparison
from tunebook_server.services.figure_options import Options

router = router_of("comparisons")

OPTIONS = {
    "studies": f"Ids of 2 to {STUDIES_MOST} studies between commas (all but curves and timeline).",
    "hours": "How far back, 1 to 168 (timeline, which is of all workers and studies).",
    "trials": "Ids of trials between commas, of whichever studies (curves).",
    "by": "Key of what is fixed in each study and names it; `study` for their names. Left out: the one thing "
    "that tells them apart, if there is one.",
    "metrics": "Names of metrics between commas (curves).",
    "family": "Name of a family of metrics: loss, error … (curves).",
    "first": "First value of the visible range (curves).",
    "last": "Last value of the visible range (curves).",
    "x": "Scale of the step axis (curves).",
    "y": "Scale of the vertical axis: auto, linear or log.",
    "smooth": "Points of the moving average (curves).",
    "clip": "on or off: whether outliers are drawn at the rim.",
    "superseded": "on or off: also what a later attempt replaced (curves).",
    "theme": "light or dark; left out, colours are names of CSS variables.",
}
_PARAMETERS = parameters(OPTIONS)
Kind = Literal["best-of-k", "curves", "distribution", "isolation", "timeline"]
Studies = Annotated[
    str, Query(max_length=4_000, description=f"Ids of 2 to {STUDIES_MOST} studies.", examples=["1,2"])
]
By = Annotated[str, Query(max_length=4_000, description=OPTIONS["by"])]


@router.get(
    "/figures/{kind}",
    operation_id="get_figure_of_studies",
    response_model=PlotlyFigure,
    responses=NOT_MODIFIED,
    openapi_extra={"parameters": _PARAMETERS},
)
def figure(kind: Kind, request: Request, engine: Database, _: Reader) -> Response:
    """A figure of several studies, or of trials of several. Its ETag changes exactly when the figure does."""
    prepared = figures.prepare_across(engine, kind=kind, options=dict(request.query_params))
    return send_figure(request, prepared)


@router.get(
    "/data/{kind}",
    operation_id="get_data_of_studies",
    response_model=Table,
    responses=TABLE_CONTENT,
    openapi_extra={"parameters": _PARAMETERS},
)
def table(
    kind: Kind, request: Request, engine: Database, _: Reader, format_: Format = None
) -> Table | Response:
    """The numbers behind a figure of several studies as JSON, CSV or Parquet."""
    options = {name: text for name, text in request.query_params.items() if name != "format"}
    columns = figures.table_across(engine, kind=kind, options=options)
    return send_table(request, columns, format_, name=f"studies-{kind}")


@router.get("/compare", operation_id="compare_studies", response_model=ComparisonOut)
def compare(studies: Studies, engine: Database, _: Reader, by: By = "") -> dict[str, Any]:
    """Whether studies compare fairly, how their designs differ, and which of them has won, if any has."""
    options = Options({"studies": studies, "by": by})
    ids = options.integers("studies", most=STUDIES_MOST)
    return _document(comparisons.compare(engine, study_ids=ids, by=options.text("by")))


def _document(found: Comparison) -> dict[str, Any]:
    return {
        "verdict": found.verdict,
        "sentence": found.caution,
        "by": found.compared.told.key,
        "studies": [_side(found, place) for place in range(len(found.compared.studies))],
        "checks": found.checks,
        "differences": [row for row in found.rows if row.differs],
        "isolation": _isolation(found),
    }


def _side(found: Comparison, place: int) -> dict[str, Any]:
    study, side = found.compared.studies[place], found.compared.sides[place]
    best = found.best.get(study.id)
    return {
        "id": study.id,
        "name": found.compared.told.names[place],
        "state": study.state,
        "trials": side.feasible + side.infeasible,
        "feasible": side.feasible,
        "infeasible": side.infeasible,
        "best": best and {"trial_id": best.id, "number": best.number, "objective": best.objective},
        "findings": found.counts.get(study.id),
    }


def _isolation(found: Comparison) -> dict[str, Any] | None:
    if found.plot is None:
        return None
    table = table_of(found.compared, found.plot.isolation)
    names = ("study_id", "trials", "infeasible", "best", "low", "high", "trial_id", "wins")
    rows = zip(*(table[name] for name in names), strict=True)
    return {
        "matched": found.plot.isolation.matched,
        "sentence": found.sentence,
        "studies": [dict(zip(names, row, strict=True)) for row in rows],
    }
