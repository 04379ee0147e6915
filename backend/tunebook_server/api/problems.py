"""Every error as an RFC 9457 problem document; the one table that numbers the domain's errors."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, get_args

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import compile_path

from tunebook_server.domain.document import close_to, show
from tunebook_server.domain.errors import (
    Conflict,
    Drained,
    Fault,
    Forbidden,
    Gone,
    Invalid,
    Limited,
    NotFound,
    Stale,
    TunebookError,
    Unauthenticated,
    Unavailable,
)
from tunebook_server.storage import failures

MEDIA_TYPE = "application/problem+json"
FAULTS_MOST = 100
STATUS: dict[type[TunebookError], tuple[int, str]] = {
    Invalid: (422, "A value is wrong"),
    NotFound: (404, "Not found"),
    Conflict: (409, "Not in this state"),
    Gone: (410, "The trial was cancelled"),
    Drained: (423, "Drained by somebody"),
    Stale: (412, "Changed by someone else in the meantime"),
    Unauthenticated: (401, "Not logged in"),
    Forbidden: (403, "Not allowed"),
    Limited: (429, "Too many tries"),
    Unavailable: (503, "Not possible right now"),
}
"""An error not listed is numbered as its nearest parent."""

_HTTP = {
    400: ("bad_request", "The request cannot be read", ""),
    404: ("not_found", "Not found", "Look at /api/v1/openapi.json for the addresses there are."),
    405: ("method_not_allowed", "This address does not take this method", "Use a method named in Allow."),
    413: ("too_large", "The request is too large", "Send less at a time."),
    415: ("unsupported_media_type", "The body is not JSON", "Send Content-Type: application/json."),
    422: ("invalid", "A value is wrong", ""),
    421: (
        "misdirected",
        "This server does not answer for this host",
        "Add the host to TUNEBOOK_ALLOWED_HOSTS.",
    ),
}

log = structlog.get_logger()


class Refused(HTTPException):
    """A refusal of the edge itself, where no use case is involved."""

    def __init__(self, status: int, code: str, detail: str, *, field: str = "", remedy: str = "") -> None:
        super().__init__(status, detail)
        self.code = code
        self.field = field
        self.remedy = remedy


def problem(
    status: int,
    code: str,
    title: str,
    detail: str,
    *,
    field: str = "",
    remedy: str = "",
    faults: Sequence[Fault] = (),
    headers: Mapping[str, str] | None = None,
    **more: object,
) -> Response:
    document: dict[str, object] = {
        "type": f"urn:tunebook:problem:{code}",
        "title": title,
        "status": status,
        "code": code,
        "detail": detail,
        "field": field,
        "remedy": remedy,
        "faults": [
            {"field": fault.field, "problem": fault.problem, "remedy": fault.remedy}
            for fault in faults[:FAULTS_MOST]
        ],
        **more,
    }
    return Response(to_json(document), status, headers, MEDIA_TYPE)


def of_error(error: TunebookError) -> Response:
    status, title = next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
    headers = {}
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, Limited | Unavailable):
        headers["Retry-After"] = str(max(1, round(error.retry_after_seconds)))
    return problem(
        status,
        error.code,
        title,
        error.message,
        field=error.field,
        remedy=error.remedy,
        faults=error.faults if isinstance(error, Invalid) else (),
        headers=headers,
    )


def of_refusal(error: HTTPException) -> Response:
    code, title, remedy = _HTTP.get(error.status_code, ("refused", "Refused", ""))
    if isinstance(error, Refused):
        remedy = error.remedy or remedy
        faults = [Fault(error.field, error.detail, remedy)] if error.field else []
        return problem(
            error.status_code,
            error.code,
            title,
            error.detail,
            field=error.field,
            remedy=remedy,
            faults=faults,
        )
    return problem(error.status_code, code, title, str(error.detail), remedy=remedy, headers=error.headers)


def of_validation(errors: Sequence[Mapping[str, Any]], body: object = None) -> Response:
    """Pydantic's findings, each under the dotted path of its field. `body`: the annotation of the body that
    they are about."""
    faults = [
        Fault(_path(error["loc"]), _said(error), _remedy(error, body)) for error in errors[:FAULTS_MOST]
    ]
    first = faults[0]
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    detail = f"{first.field}: {first.problem}{more}" if first.field else first.problem + more
    return problem(
        422, "invalid", STATUS[Invalid][1], detail, field=first.field, remedy=first.remedy, faults=faults
    )


def of_failure(error: Exception, *, log_id: str) -> Response:
    """For what nobody caught: the database's trouble by name, a defect of ours by the id of its log entry."""
    named = failures.translate(error)
    if named is not None:
        log.warning("database_failure", id=log_id, code=named.code, kind=type(error).__name__)
        return of_error(named)
    log.error("unhandled", id=log_id, exc_info=error)
    detail = f"Something went wrong here. It is written down under {log_id}."
    return problem(
        500,
        "internal",
        "An error of the server",
        detail,
        remedy="Tell who runs this server the id.",
        id=log_id,
    )


def install(app: FastAPI) -> None:
    async def tunebook_error(_: Request, error: Exception) -> Response:
        assert isinstance(error, TunebookError)
        return of_error(error)

    async def refusal(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        response = of_refusal(error)
        if error.status_code == 405:
            # Starlette names only the first route of this address.
            response.headers["Allow"] = ", ".join(_methods(app, request.scope["path"]))
        return response

    async def validation(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        field = getattr(request.scope.get("route"), "body_field", None)
        return of_validation(error.errors(), field and field.field_info.annotation)

    app.add_exception_handler(TunebookError, tunebook_error)
    app.add_exception_handler(HTTPException, refusal)
    app.add_exception_handler(RequestValidationError, validation)


def _methods(app: FastAPI, path: str) -> list[str]:
    return sorted(
        {
            method
            for route in iter_route_contexts(app.routes)
            if compile_path(route.path or "")[0].fullmatch(path)
            for method in route.methods or ()
        }
    )


def _path(place: Sequence[str | int]) -> str:
    """("body", "space", 2, "low") is "space.2.low"; a parameter's place is its name."""
    parts = [str(part)[:60] for part in place]
    inside = parts[1:] if parts and parts[0] in ("body", "query", "path", "header", "cookie") else parts
    return ".".join(inside[:20])


def _said(error: Mapping[str, Any]) -> str:
    """Of a report's columns, which may be long, the input is not there."""
    match error["type"]:
        case "extra_forbidden":
            return "there is no such field here"
        case "literal_error" | "enum" if "input" in error:
            return f"is {show(error['input'])}"
    return _lower(str(error["msg"]))


def _remedy(error: Mapping[str, Any], body: object) -> str:
    match error["type"]:
        case "extra_forbidden":
            near = close_to(str(error["loc"][-1]), _fields(body, error["loc"][1:-1]))
            return f"{near}Leave it out, or look for a mistyped name."
        case "literal_error" | "enum" if "input" in error:
            expected = error["ctx"]["expected"]
            words = re.findall(r"'([^']*)'", expected) or [expected]
            near = close_to(error["input"], words) if isinstance(error["input"], str) else ""
            return f"{near}Use {_either(words)}."
        case "missing":
            return "Give a value."
    return ""


def _fields(body: object, place: Sequence[str | int]) -> list[str]:
    """Of the object at this place of a body; none where it is a choice of several."""
    for part in (part for part in place if isinstance(part, str)):
        model = _model(body)
        inside = model.model_fields.get(part) if model is not None else None
        body = inside.annotation if inside is not None else None
    model = _model(body)
    return list(model.model_fields) if model is not None else []


def _model(annotation: object) -> type[BaseModel] | None:
    """The one model in it: of `Model`, `Model | None` and `list[Model]`."""
    found = [annotation, *get_args(annotation)]
    models = [each for each in found if isinstance(each, type) and issubclass(each, BaseModel)]
    return models[0] if len(models) == 1 else None


def _either(words: Sequence[str]) -> str:
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]
