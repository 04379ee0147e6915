"""The OpenAPI document: complete enough to generate clients from it, and to fuzz by it."""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI, Request
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute, iter_route_contexts

from tunebook_server.api.access import COOKIE, Reader, policies_of
from tunebook_server.api.problems import MEDIA_TYPE
from tunebook_server.api.route import KEY_HEADER, SAFE, Route, router_of
from tunebook_server.api.schemas import Problem
from tunebook_server.api.schemas.follow_ups import CHANGE
from tunebook_server.api.schemas.metrics import REPORT_SCHEMA
from tunebook_server.api.schemas.studies import STUDY_DOCUMENT
from tunebook_server.domain.search_space_schema import SCHEMA as SEARCH_SPACE

DESCRIPTION = """Studies, trials and metrics of Tunebook. Every error is a problem document (RFC 9457) with a
stable `code`. Lists are paged by `cursor`. Numbers that JSON has no word for travel as "NaN", "Infinity" and
"-Infinity"."""
REFUSALS = {
    "400": "The body is not JSON.",
    "401": "No valid credential.",
    "403": "A valid credential without this right, or a request from another site.",
    "404": "No such object.",
    "405": "No such method here.",
    "409": "The object is not in a state that allows this; `fenced`: another attempt goes on.",
    "410": "The trial was cancelled.",
    "412": "Someone else has edited the object in the meantime.",
    "413": "The body is too large.",
    "415": "The body is not declared as JSON.",
    "421": "This server does not answer for this host.",
    "422": "A value is wrong: `faults` names each one.",
    "423": "The worker is drained: the same request works once somebody lets it accept work again.",
    "429": "Too many logins were tried.",
    "500": "An error of the server, written down under `id`.",
    "503": "The database is away, busy or full: the same request may work later.",
}
ALWAYS = ("400", "401", "403", "404", "421", "422", "500", "503")
SECURITY_SCHEMES = {
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": COOKIE,
        "description": "From POST /api/v1/login. Its name ends in the port; under TLS it has __Host-.",
    },
    "token": {"type": "http", "scheme": "bearer", "description": "A person's token: tbk_pat_…"},
    "worker": {"type": "http", "scheme": "bearer", "description": "A worker's token: tbk_wrk_…"},
    "trial": {"type": "http", "scheme": "bearer", "description": "The token of a claim: tbk_trl_…"},
}
KEY = {
    "name": KEY_HEADER,
    "in": "header",
    "required": False,
    "description": "The same request under the same key is done once, and answered the same for 24 hours.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$"},
}

IF_NONE_MATCH = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "description": "The ETag of an earlier answer: 304 when it is still the same.",
    "schema": {"type": "string", "maxLength": 1000, "pattern": "^[ -~]*$"},
}
_SCHEMES = {"person": ("session", "token"), "worker": ("worker",), "trial": ("trial",)}

router = router_of("server")


@router.get("/openapi.json", operation_id="openapi")
def document(request: Request, _: Reader) -> dict[str, Any]:
    """This document."""
    return describe(request.app)


def describe(app: FastAPI) -> dict[str, Any]:
    """Of all API routes of the app; made once."""
    if app.openapi_schema is None:
        app.openapi_schema = _describe(app)
    return app.openapi_schema


def api_routes(app: FastAPI) -> Iterator[APIRoute]:
    """The routes of the API, as they are mounted."""
    for context in iter_route_contexts(app.routes):
        if isinstance(context.original_route, Route):
            yield context  # type: ignore[misc]


def _complete(operation: dict[str, Any], route: APIRoute, method: str) -> None:
    """What FastAPI cannot know: who may call it, what else it may answer, which headers count."""
    (policy,) = policies_of(route.dependant)
    responses, parameters = operation["responses"], operation.setdefault("parameters", [])
    statuses = {*ALWAYS, "410"} if policy.kinds == ("trial",) else set(ALWAYS)
    operation["security"] = [
        {scheme: list(policy.scopes)} for kind in policy.kinds for scheme in _SCHEMES[kind]
    ]
    if method not in SAFE:
        statuses |= {"409", "413", "415"}
        if getattr(route.endpoint, "answers_secret", False) is False:
            parameters.append(KEY)
    if "304" in responses:
        parameters.append(IF_NONE_MATCH)
    if any(parameter["name"].lower() == "if-match" for parameter in parameters):
        statuses.add("412")
    if operation["operationId"] == "register_worker":
        statuses.add("423")
    if operation["operationId"] == "login":
        statuses.add("429")
    responses.update({status: {"$ref": f"#/components/responses/{status}"} for status in statuses})
    operation["responses"] = dict(sorted(responses.items()))


def _describe(app: FastAPI) -> dict[str, Any]:
    found = get_openapi(
        title=app.title, version=app.version, description=DESCRIPTION, routes=list(api_routes(app))
    )
    schemas = found["components"]["schemas"]
    schemas.update(REPORT_SCHEMA["$defs"])
    schemas["StudyDocument"] = STUDY_DOCUMENT
    schemas["Change"] = CHANGE
    schemas["SearchSpace"] = {name: part for name, part in SEARCH_SPACE.items() if name != "$schema"}
    schemas["Problem"] = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(schemas["Problem"].pop("$defs"))
    found["components"]["securitySchemes"] = SECURITY_SCHEMES
    found["components"]["responses"] = {
        status: {
            "description": text,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status, text in REFUSALS.items()
    }
    for route in api_routes(app):
        for method in route.methods or ():
            _complete(found["paths"][route.path_format][method.lower()], route, method)
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    return found
