"""Shapes of changes to a study's design, and of the study drafted from them."""

from typing import Annotated, Any, Literal

from pydantic import Field, WithJsonSchema

from tunebook_server.api.schemas import Received, Sent
from tunebook_server.domain.changes import CHANGES_MOST
from tunebook_server.domain.hyperparameter_rules import CHOICES_MOST
from tunebook_server.domain.samplers import SAMPLERS
from tunebook_server.domain.study_limits import TRIALS_MOST

_KEY = {"type": "string", "minLength": 1, "description": "Of a hyperparameter, as the study calls it."}
_VALUE = {"anyOf": [{"type": "string", "maxLength": 200}, {"type": "number"}, {"type": "boolean"}]}


def _change(kind: str, **properties: object) -> dict[str, object]:
    return {
        "title": kind,
        "type": "object",
        "required": ["change", *properties],
        "properties": {"change": {"const": kind}, **properties},
        "additionalProperties": False,
    }


CHANGE: dict[str, Any] = {
    "title": "Change",
    "oneOf": [
        _change("range", key=_KEY, low={"type": "number"}, high={"type": "number"}),
        _change(
            "choices",
            key=_KEY,
            choices={"type": "array", "minItems": 1, "maxItems": CHOICES_MOST, "items": _VALUE},
        ),
        _change("fix", key=_KEY, value=_VALUE),
        _change("vary", parameter={"$ref": "#/components/schemas/SearchSpace/items"}),
        _change("trials", trials={"type": "integer", "minimum": 1, "maximum": TRIALS_MOST}),
        _change("draw", name={"enum": list(SAMPLERS)}, options={"type": "object"}),
    ],
}
"""What `domain.changes.parse` reads."""

EXAMPLE: list[dict[str, Any]] = [
    {"change": "range", "key": "optimizer=adam/learning_rate", "low": 1e-4, "high": 100},
    {"change": "trials", "trials": 96},
]

ChangeDocument = Annotated[dict[str, Any], WithJsonSchema({"$ref": "#/components/schemas/Change"})]


class FollowUpIn(Received):
    """Several changes are applied together; of two of the same hyperparameter the later one counts."""

    changes: list[ChangeDocument] = Field(max_length=CHANGES_MOST, examples=[EXAMPLE])


class DifferenceOut(Sent):
    """`field`: the key of a hyperparameter, or a field of the study document."""

    kind: Literal["added", "removed", "fixed", "freed", "changed"]
    field: str
    before: str
    after: str
    words: str


class FollowUpOut(Sent):
    """`document` creates the study as it is, or changed further."""

    document: dict[str, Any] = Field(description="What `create_study` takes.")
    difference: list[DifferenceOut]
