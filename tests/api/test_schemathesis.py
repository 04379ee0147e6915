"""Schemathesis against the real application: no 5xx, answers as declared, problem documents on every refusal.

200 examples an operation in CI, fewer otherwise; the operations are shared out over the test processes.
"""

import os
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from sqlalchemy import Engine

from tests.api.site import HOST, Site, World, populate
from tunebook_server.api.openapi import describe
from tunebook_server.api.problems import MEDIA_TYPE
from tunebook_server.app.factory import create_app
from tunebook_server.settings import Settings
from tunebook_server.storage.engine import connect

EXAMPLES = 200 if os.environ.get("CI") else 12
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


def operations() -> dict[str, tuple[str, str]]:
    """(path, method) by operation id, from the document alone."""
    nowhere = connect("postgresql://localhost:1/nowhere")
    paths = describe(create_app(nowhere, Settings()))["paths"]
    return {
        operation["operationId"]: (path, method)
        for path, methods in paths.items()
        for method, operation in methods.items()
    }


OPERATIONS = operations()


@pytest.mark.parametrize("name", OPERATIONS)
def test_operation_holds_what_it_declares(name: str, engine: Engine) -> None:
    site = Site(engine)
    world = populate(site)
    path, method = OPERATIONS[name]
    schema = schemathesis.openapi.from_dict(describe(site.app))
    schema.app = site.app
    operation = schema[path][method]
    bearer = {"Authorization": f"Bearer {site.tokens[bearer_of(path, method, site)]}"}

    site.app.state.feed.close()  # as when a server stops: an event stream has no end of its own

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases(operation, world))
    def hold(case: Case[Any]) -> None:
        answer = case.call(base_url=HOST, headers=bearer)
        case.validate_response(answer, checks=CHECKS)
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == [MEDIA_TYPE]
            assert answer.json()["status"] == answer.status_code

    hold()
    site.close()


def bearer_of(path: str, method: str, site: Site) -> str:
    """The name of the token that this operation is for."""
    schemes = {name for need in describe(site.app)["paths"][path][method]["security"] for name in need}
    return next((name for name in ("trial", "worker") if schemes == {name}), "owner")


def cases(operation: Any, world: World) -> st.SearchStrategy[Case[Any]]:
    """Mostly about things that exist; a part about anything, a part deliberately wrong."""
    places = {
        "trial_id": world.trial,
        "study_id": world.study,
        "project_id": world.project,
        "template_id": world.template,
        "worker_id": world.worker,
        "round_id": world.round,
    }
    named = {name: value for name, value in places.items() if "{" + name + "}" in operation.path}
    existing = operation.as_strategy(path_parameters=named) if named else operation.as_strategy()
    wrong = operation.as_strategy(generation_mode=GenerationMode.NEGATIVE, path_parameters=named or None)
    return st.one_of(existing, existing, operation.as_strategy(), wrong)
