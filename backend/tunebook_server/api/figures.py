"""Figures as Plotly JSON, and the numbers behind them; the study's whole table as a file."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import Query, Request, Response
from fastapi.responses import StreamingResponse

from tunebook_server.api.access import Database, Reader
from tunebook_server.api.conditional import NOT_MODIFIED, etag, is_known, not_modified
from tunebook_server.api.route import router_of
from tunebook_server.api.schemas import Filter, Id, Sent
from tunebook_server.api.schemas.trials import States
from tunebook_server.services import export, figures
from tunebook_server.services.figure_kinds import Table as Columns
from tunebook_server.services.figures import Prepared

router = router_of("figures", prefix="/studies/{study_id}")

OPTIONS = {
    "parameter": "Key of the hyperparameter (axis, slice), of the scientific one (isolation, interaction).",
    "by": "Key of the hyperparameter that colours tell apart (slice, distribution).",
    "trial": "Id of the trial (trial-curves, system, gradient-norm, gradient-norm-histogram).",
    "epoch": "The attempt; left out, the newest (system).",
    "panel": "What was measured: cpu, memory, disk, network, threads, gpu, gpu-memory, gpu-power or "
    "gpu-temperature (system).",
    "trials": "Ids of trials between commas (curves).",
    "best": "How many of the best trials (curves).",
    "metrics": "Names of metrics between commas (curves).",
    "family": "Name of a family of metrics: loss, error … (curves).",
    "first": "First value of the visible range.",
    "last": "Last value of the visible range.",
    "x": "Scale of the horizontal axis; key of the hyperparameter across (contour).",
    "y": "Scale of the vertical axis; key of the hyperparameter upwards (contour).",
    "smooth": "Points of the moving average (curves).",
    "clip": "on or off: whether outliers are drawn at the rim.",
    "threshold": "Gradient norm above which steps are clipped (gradient-norm, gradient-norm-histogram).",
    "superseded": "on or off: also what a later attempt replaced (curves).",
    "theme": "light or dark; left out, colours are names of CSS variables.",
}


def parameters(options: Mapping[str, str]) -> list[dict[str, object]]:
    """Query parameters with their descriptions, as OpenAPI has them: figures read them by name."""
    return [
        {"name": name, "in": "query", "required": False, "description": text, "schema": {"type": "string"}}
        for name, text in options.items()
    ]


_PARAMETERS = parameters(OPTIONS)
Kind = Literal[
    "axis",
    "best-of-k",
    "best-steps",
    "contour",
    "curves",
    "distribution",
    "feasibility",
    "gradient-norm",
    "gradient-norm-histogram",
    "history",
    "hypervolume",
    "importance",
    "interaction",
    "isolation",
    "lineage",
    "parallel",
    "pareto",
    "predicted",
    "rungs",
    "slice",
    "system",
    "timeline",
    "trial-curves",
]


Format = Annotated[Literal["json", "csv", "parquet"] | None, Query(alias="format")]
TABLE_CONTENT: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            "text/csv": {"schema": {"type": "string"}},
            export.PARQUET: {"schema": {"type": "string", "format": "binary"}},
        }
    }
}


class PlotlyFigure(Sent):
    """What Plotly.react takes; `meta` holds notes for the page."""

    data: list[dict[str, Any]]
    layout: dict[str, Any]


class Table(Sent):
    """Columns of equal length."""

    columns: dict[str, list[int | float | str | bool | None]]


@router.get(
    "/figures/{kind}",
    operation_id="get_figure",
    response_model=PlotlyFigure,
    responses=NOT_MODIFIED,
    openapi_extra={"parameters": _PARAMETERS},
)
def figure(study_id: Id, kind: Kind, request: Request, engine: Database, _: Reader) -> Response:
    """A figure of a study. Its ETag changes exactly when the figure does."""
    options = dict(request.query_params)
    prepared = figures.prepare(engine, study_id=study_id, kind=kind, options=options)
    return send_figure(request, prepared)


@router.get(
    "/data/{kind}",
    operation_id="get_data",
    response_model=Table,
    responses=TABLE_CONTENT,
    openapi_extra={"parameters": _PARAMETERS},
)
def table(
    study_id: Id,
    kind: Kind,
    request: Request,
    engine: Database,
    _: Reader,
    format_: Format = None,
) -> Table | Response:
    """The numbers behind a figure as JSON, as CSV (`format=csv`, or Accept: text/csv) or as Parquet
    (`format=parquet`, where the server has pyarrow)."""
    options = {name: text for name, text in request.query_params.items() if name != "format"}
    columns = figures.table(engine, study_id=study_id, kind=kind, options=options)
    return send_table(request, columns, format_, name=f"study-{study_id}-{kind}")


def send_figure(request: Request, prepared: Prepared) -> Response:
    tag = etag(prepared.version)
    if is_known(request, tag):
        return not_modified(tag)
    return Response(prepared.json(), media_type="application/json", headers={"ETag": tag})


def send_table(request: Request, columns: Columns, format_: str | None, *, name: str) -> Table | Response:
    """`name` is that of the file, without its ending."""
    if format_ == "csv" or (format_ is None and request.headers.get("accept", "").startswith("text/csv")):
        return Response(export.table_csv(columns), media_type="text/csv")
    if format_ == "parquet":
        headers = {"Content-Disposition": f'attachment; filename="{name}.parquet"'}
        return Response(export.table_parquet(columns), media_type=export.PARQUET, headers=headers)
    return Table(columns={name: list(column) for name, column in columns.items()})


@router.get(
    "/export.csv",
    operation_id="export_csv",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
)
def export_csv(
    *,
    study_id: Id,
    engine: Database,
    _: Reader,
    state: States = [],  # noqa: B006 (FastAPI copies it)
    expression: Filter = "",
) -> StreamingResponse:
    """Trials as CSV; text that a spreadsheet would run as a formula gets an apostrophe in front."""
    content = export.trials_csv(engine, study_id=study_id, states=state, expression=expression)
    return _file(content, "text/csv", f"study-{study_id}.csv")


@router.get(
    "/export.jsonl",
    operation_id="export_jsonl",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/jsonl": {"schema": {"type": "string"}}}}},
)
def export_jsonl(
    *,
    study_id: Id,
    engine: Database,
    _: Reader,
    state: States = [],  # noqa: B006 (FastAPI copies it)
    expression: Filter = "",
) -> StreamingResponse:
    """Trials, one JSON object a line."""
    content = export.trials_json(engine, study_id=study_id, states=state, expression=expression)
    return _file(content, "application/jsonl", f"study-{study_id}.jsonl")


def _file(content: Any, media_type: str, name: str) -> StreamingResponse:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(content, media_type=media_type, headers=headers)
