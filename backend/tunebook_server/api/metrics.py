"""Points: reported by jobs, read as curves."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from tunebook_server.api.access import Database, Reader, ReporterHere, engine_of
from tunebook_server.api.meter import Meter
from tunebook_server.api.problems import Refused
from tunebook_server.api.route import not_json, router_of
from tunebook_server.api.schemas import INT64_MOST, Id, Name
from tunebook_server.api.schemas.metrics import (
    COLONS_MOST,
    REPORT,
    REPORT_SCHEMA,
    AcceptedOut,
    CurvesOut,
    MetricNames,
    Report,
    arrays,
    content_hash,
)
from tunebook_server.domain.access import Principal
from tunebook_server.domain.curve import Curve
from tunebook_server.services import curves, metrics, studies, trials
from tunebook_server.storage.engine import Engine

router = router_of("metrics")

METRICS_MOST = 1000
EXAMPLE = {
    "epoch": 1,
    "sequence": 7,
    "series": {"train/loss": {"step": [0, 10, 20], "value": [2.3, 1.9, "NaN"]}},
}


@dataclass(frozen=True, slots=True)
class Delivery:
    """A report as it came: nothing of it is believed, nor read, before `sender` says whose it is."""

    trial_id: int
    body: bytes
    engine: Engine
    sender: Callable[[], Principal]
    meter: Meter


async def delivery(request: Request, trial_id: Id, reporter: ReporterHere) -> Delivery:
    return Delivery(
        trial_id, await request.body(), await engine_of(request), reporter, request.app.state.meter
    )


@router.post(
    "/trials/{trial_id}:report",
    operation_id="report",
    response_model=AcceptedOut,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {name: part for name, part in REPORT_SCHEMA.items() if name != "$defs"},
                    "examples": {"batch": {"value": EXAMPLE}},
                }
            },
        }
    },
)
def report(sent: Annotated[Delivery, Depends(delivery)]) -> Response:
    """Report a batch of points; the same batch again changes nothing. 409 fenced: another attempt goes on."""
    principal = sent.sender()
    batch = parse(sent.body)
    principal.require_epoch(batch["epoch"])
    series = arrays(batch["series"])
    accepted = metrics.report(
        sent.engine,
        trial_id=sent.trial_id,
        epoch=batch["epoch"],
        sequence=batch["sequence"],
        series=series,
        content_hash=content_hash(series),
    )
    sent.meter.ingested(0 if accepted.duplicate else accepted.points, len(sent.body))
    answer = AcceptedOut(points=accepted.points, duplicate=accepted.duplicate, end=accepted.end.value)
    return Response(answer.model_dump_json(), media_type="application/json")


@router.get("/trials/{trial_id}/metrics", operation_id="get_curves", response_model=CurvesOut)
def read(
    *,
    trial_id: Id,
    engine: Database,
    _: Reader,
    metric: Annotated[list[Name] | None, Query(max_length=METRICS_MOST)] = None,
    max_points: Annotated[int, Query(ge=curves.LEAST_POINTS, le=curves.MAX_POINTS)] = 1000,
    first_step: Annotated[int | None, Query(ge=0, le=INT64_MOST)] = None,
    last_step: Annotated[int | None, Query(ge=0, le=INT64_MOST)] = None,
    superseded: bool = False,
) -> dict[str, list[Curve]]:
    """The curves of a trial, each of at most `max_points` points that draw the same."""
    trials.get(engine, trial_id=trial_id)
    found = curves.read(
        engine,
        trial_ids=[trial_id],
        metrics=metric,
        max_points=max_points,
        first_step=first_step,
        last_step=last_step,
        superseded=superseded,
    )
    return {"items": found}


@router.get("/studies/{study_id}/metrics", operation_id="list_metrics")
def names(study_id: Id, engine: Database, _: Reader) -> MetricNames:
    """The names of all metrics that trials of this study have reported."""
    studies.get(engine, study_id=study_id)
    return MetricNames(items=curves.all_metric_names(engine, study_id=study_id))


def parse(body: bytes) -> Report:
    """A batch from the raw body."""
    if body.count(b":") > COLONS_MOST:
        raise Refused(422, "invalid", "The batch has too many series.", field="series", remedy="Send fewer.")
    try:
        return REPORT.validate_json(body)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
    if faults[0]["type"] == "json_invalid":
        raise not_json(body, faults[0]["msg"].removeprefix("Invalid JSON: "))
    raise RequestValidationError(faults)
