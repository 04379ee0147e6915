"""JSON Schema (2020-12) of a search space document: its shape. What spans several values (low below high,
choices alike, conditions and their parents) only the parser can tell."""

from tunebook_server.domain.document import NUMBER_LIMIT
from tunebook_server.domain.hyperparameter_rules import CHOICES_MOST, INTEGER_LIMIT, LOG_LOWEST

PARAMETERS_MOST = 200

# `$` also matches before a last line break in Python, hence the second pattern.
_NAME: dict[str, object] = {
    "type": "string",
    "pattern": "^[A-Za-z_][A-Za-z0-9_.-]{0,99}$",
    "not": {"pattern": "\\s"},
    "description": "What the training command is given as --name=value.",
}
_NUMBER: dict[str, object] = {"type": "number", "minimum": -NUMBER_LIMIT, "maximum": NUMBER_LIMIT}
_INTEGER: dict[str, object] = {"type": "integer", "minimum": -INTEGER_LIMIT, "maximum": INTEGER_LIMIT}
_TEXT: dict[str, object] = {
    "type": "string",
    "maxLength": 200,
    "not": {"pattern": "[\\u0000-\\u001f\\u007f-\\u009f\\ud800-\\udfff]"},
}
_VALUE: dict[str, object] = {"anyOf": [_TEXT, _NUMBER, {"type": "boolean"}]}
_VALUES: dict[str, object] = {"type": "array", "minItems": 1, "maxItems": CHOICES_MOST, "items": _VALUE}
_WHEN: dict[str, object] = {
    "type": "object",
    "minProperties": 1,
    "maxProperties": 1,
    "additionalProperties": _VALUES,
    "description": "One parent (name or key) and the values for which this hyperparameter exists.",
}
_ROLE: dict[str, object] = {"enum": ["scientific", "nuisance"], "default": "nuisance"}
_SCALE: dict[str, object] = {"enum": ["linear", "log"], "default": "linear"}


def _kind(kind: str, required: list[str], **properties: object) -> dict[str, object]:
    return {
        "title": kind,
        "type": "object",
        "required": ["name", "type", *required],
        "properties": {"name": _NAME, "type": {"const": kind}, "role": _ROLE, "when": _WHEN, **properties},
        "additionalProperties": False,
    }


def _on_log_scale(lowest: float) -> dict[str, object]:
    return {
        "if": {"properties": {"scale": {"const": "log"}}, "required": ["scale"]},
        "then": {"properties": {"low": {"minimum": lowest}}},
    }


SCHEMA: dict[str, object] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Search space",
    "type": "array",
    "minItems": 1,
    "maxItems": PARAMETERS_MOST,
    "items": {
        "oneOf": [
            {
                **_kind("float", ["low", "high"], low=_NUMBER, high=_NUMBER, scale=_SCALE),
                **_on_log_scale(LOG_LOWEST),
            },
            {
                **_kind("integer", ["low", "high"], low=_INTEGER, high=_INTEGER, scale=_SCALE),
                **_on_log_scale(1),
            },
            _kind("categorical", ["choices"], choices=_VALUES),
            _kind("boolean", []),
            _kind("fixed", ["value"], value=_VALUE, role={"const": "fixed"}),
        ]
    },
}
