"""The document that clients are generated from says all there is to say."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.api.site import Site, World, ok
from tunebook_server.api.openapi import api_routes, describe


@pytest.fixture
def document(site: Site, world: World) -> dict[str, Any]:
    found: dict[str, Any] = ok(site.get("/api/v1/openapi.json"))
    return found


def operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [operation for methods in document["paths"].values() for operation in methods.values()]


def test_each_operation_is_named_and_complete(site: Site, document: dict[str, Any]) -> None:
    found = operations(document)
    assert len(found) == sum(len(route.methods or ()) for route in api_routes(site.app))
    names = [operation["operationId"] for operation in found]
    assert len(set(names)) == len(names)
    for operation in found:
        name = operation["operationId"]
        assert operation["description"], name
        assert "security" in operation, name
        assert any(status.startswith("2") for status in operation["responses"]), name
        assert {"401", "403", "404", "422", "500", "503"} <= operation["responses"].keys(), name
        if "requestBody" in operation:
            assert {"400", "413", "415"} <= operation["responses"].keys(), name
        for status, response in operation["responses"].items():
            if not status.startswith("2") and status != "304":
                assert response == {"$ref": f"#/components/responses/{status}"}, (name, status)


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    def walk(value: Any) -> None:
        if isinstance(value, dict):
            reference = value.get("$ref")
            if isinstance(reference, str):
                target: Any = document
                for part in reference.removeprefix("#/").split("/"):
                    target = target[part]
            for inside in value.values():
                walk(inside)
        if isinstance(value, list):
            for inside in value:
                walk(inside)

    walk(document)


def test_schemas_are_valid_and_examples_fit_them(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert {"StudyOut", "TrialOut", "ClaimOut", "Problem", "Column"} <= schemas.keys()
    definitions = json.loads(json.dumps(schemas).replace("#/components/schemas/", "#/$defs/"))

    def fits(example: Any, schema: dict[str, Any]) -> None:
        Draft202012Validator({**schema, "$defs": definitions}).validate(example)

    for schema in definitions.values():
        Draft202012Validator.check_schema(schema)
        for example in schema.get("examples", []):
            fits(example, schema)
        for field in schema.get("properties", {}).values():
            for example in field.get("examples", []):
                fits(example, field)
    for operation in operations(document):
        content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        schema = json.loads(
            json.dumps(content.get("schema", {})).replace("#/components/schemas/", "#/$defs/")
        )
        for example in content.get("examples", {}).values():
            fits(example["value"], schema)


def test_no_page_is_in_it(site: Site, document: dict[str, Any]) -> None:
    assert all(path.startswith("/api/v1/") or path in ("/health", "/metrics") for path in document["paths"])
    assert describe(site.app) is describe(site.app)
