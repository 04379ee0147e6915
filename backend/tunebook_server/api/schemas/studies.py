"""Shapes of studies."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AliasPath, BeforeValidator, Field, WithJsonSchema

from tunebook_server.api.schemas import FaultOut, Lines, Received, Sent, Value
from tunebook_server.domain.constraint import CONSTRAINTS_MOST, Constraint
from tunebook_server.domain.findings.thresholds import BY_NAME
from tunebook_server.domain.option import Option, by_name
from tunebook_server.domain.retention import KEPT_MOST, Retention
from tunebook_server.domain.samplers import SAMPLERS
from tunebook_server.domain.samplers.automatic import AUTO
from tunebook_server.domain.schedulers import NONE, SCHEDULERS
from tunebook_server.domain.search_space import SearchSpace
from tunebook_server.domain.search_space_schema import PARAMETERS_MOST
from tunebook_server.domain.study_limits import (
    ATTEMPTS,
    ATTEMPTS_MOST,
    ID_HIGHEST,
    METRIC_LONGEST,
    NAME_LONGEST,
    PARALLEL_MOST,
    PARENTS_MOST,
    PRIORITY_MOST,
    SEED_HIGHEST,
    TEXT_LONGEST,
    TRIALS_MOST,
    WEIGHT_LEAST,
    WEIGHT_MOST,
)

State = Literal["running", "paused", "finished"]

EXAMPLE: dict[str, Any] = {
    "name": "optimizer",
    "goal": "Which optimizer trains the two-layer MLP best?",
    "objective": {"metric": "valid/error", "direction": "minimize", "evaluation": "best"},
    "sampler": {"name": "halton", "seed": 0},
    "budget": {"trials": 48, "parallel": 2, "attempts": 3},
    "space": [
        {"name": "optimizer", "type": "categorical", "choices": ["nesterov", "adam"], "role": "scientific"},
        {
            "name": "learning_rate",
            "type": "float",
            "low": 1e-4,
            "high": 10,
            "scale": "log",
            "when": {"optimizer": ["adam"]},
        },
        {"name": "batch_size", "type": "fixed", "value": 64},
    ],
}


_TEXT = {"type": "string", "maxLength": TEXT_LONGEST}
CHECKS: dict[str, Any] = {
    "type": "object",
    "description": "Thresholds of the checklist that the study overrides.",
    "properties": {
        each.name: {
            "type": "integer" if each.whole else "number",
            "minimum": each.low,
            "maximum": each.high,
            "default": each.default,
            "description": each.says,
        }
        for each in BY_NAME.values()
    },
    "additionalProperties": False,
}


def _options(kinds: Mapping[str, Sequence[Option]]) -> dict[str, Any]:
    """Of all kinds together; which of them has an option stands beside it."""
    described = {
        option.name: {"description": f"{option.says}. Of {', '.join(having)}."}
        for option, having in by_name(kinds)
    }
    return {"type": "object", "properties": described, "additionalProperties": False}


SCHEDULER: dict[str, Any] = {
    "type": "object",
    "description": "Which trials end early, or go on from others' checkpoints.",
    "properties": {
        "name": {"enum": list(SCHEDULERS), "default": NONE},
        "options": _options({name: kind.options for name, kind in SCHEDULERS.items()}),
    },
    "additionalProperties": False,
}
CONSTRAINTS: dict[str, Any] = {
    "type": "array",
    "maxItems": CONSTRAINTS_MOST,
    "description": "Bounds on the last values of other metrics: outside of them a trial is infeasible.",
    "items": {
        "type": "object",
        "required": ["metric"],
        "properties": {
            "metric": {"type": "string", "minLength": 1, "maxLength": METRIC_LONGEST},
            "min": {"type": "number"},
            "max": {"type": "number"},
        },
        "additionalProperties": False,
    },
}
_KEPT = {"type": "integer", "minimum": 0, "maximum": KEPT_MOST}
CHECKPOINTS: dict[str, Any] = {
    "description": "What is kept of the checkpoints of each trial.",
    "anyOf": [
        {
            "type": "object",
            "properties": {
                "keep_best": {**_KEPT, "default": 1, "description": "Best ones by the objective."},
                "keep_last": {**_KEPT, "default": 1, "description": "Newest ones."},
                "keep_trials": {
                    **_KEPT,
                    "description": "Of ended trials, so many of the best keep any; without it all do.",
                },
            },
            "additionalProperties": False,
        },
        {
            "type": "object",
            "required": ["keep"],
            "properties": {"keep": {"enum": ["all"]}},
            "additionalProperties": False,
        },
    ],
}
_ROUND: list[dict[str, Any]] = [
    {"type": "integer", "minimum": 1, "maximum": ID_HIGHEST},
    {"type": "string", "minLength": 1, "maxLength": NAME_LONGEST},
]
RoundReference = Annotated[Any, WithJsonSchema({"anyOf": [*_ROUND, {"type": "null"}]})]
"""Read by the service: a union of types here would name a fault after one of them."""
STUDY_DOCUMENT: dict[str, Any] = {
    "title": "StudyDocument",
    "type": "object",
    "required": ["name", "objective", "space"],
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": NAME_LONGEST},
        "goal": _TEXT,
        "note": _TEXT,
        "objective": {
            "type": "object",
            "required": ["metric"],
            "properties": {
                "metric": {"type": "string", "minLength": 1, "maxLength": METRIC_LONGEST},
                "direction": {"enum": ["minimize", "maximize"], "default": "minimize"},
                "evaluation": {"enum": ["best", "last"], "default": "best"},
            },
            "additionalProperties": False,
        },
        "sampler": {
            "type": "object",
            "properties": {
                "name": {"enum": [*SAMPLERS, AUTO], "default": "halton"},
                "seed": {"type": "integer", "minimum": 0, "maximum": SEED_HIGHEST, "default": 0},
                "options": _options({name: kind.options for name, kind in SAMPLERS.items()}),
            },
            "additionalProperties": False,
        },
        "constraints": CONSTRAINTS,
        "scheduler": SCHEDULER,
        "budget": {
            "type": "object",
            "properties": {
                "trials": {"type": "integer", "minimum": 1, "maximum": TRIALS_MOST},
                "parallel": {"type": "integer", "minimum": 1, "maximum": PARALLEL_MOST, "default": 1},
                "attempts": {"type": "integer", "minimum": 1, "maximum": ATTEMPTS_MOST, "default": ATTEMPTS},
            },
            "additionalProperties": False,
        },
        "job": {
            "type": "object",
            "required": ["template"],
            "properties": {"template": {"type": "string", "minLength": 1, "maxLength": NAME_LONGEST}},
            "additionalProperties": False,
        },
        "parents": {
            "type": "array",
            "maxItems": PARENTS_MOST,
            "uniqueItems": True,
            "items": {"type": "integer", "minimum": 1, "maximum": ID_HIGHEST},
            "description": "Studies of the same project that this one follows.",
        },
        "checks": CHECKS,
        "checkpoints": CHECKPOINTS,
        "round": {
            "anyOf": _ROUND,
            "description": "The round of the same project that it belongs to: an id, or a text for a name.",
        },
        "space": {"$ref": "#/components/schemas/SearchSpace"},
    },
    "additionalProperties": False,
}
"""What `StudyDesign.parse` reads, without a project: that stands in the address."""


def _document(space: Any) -> Any:
    return space.document() if isinstance(space, SearchSpace) else space


def _documents(constraints: Any) -> Any:
    return [each.document() if isinstance(each, Constraint) else each for each in constraints]


def _kept(retention: Any) -> Any:
    return retention.whole_document() if isinstance(retention, Retention) else retention


class ObjectiveOut(Sent):
    metric: str
    direction: Literal["minimize", "maximize"]
    evaluation: Literal["best", "last"]


class StudyOut(Sent):
    id: int
    project_id: int
    round_id: int | None
    name: str
    goal: str
    note: str
    conclusion: str
    state: State
    objective: ObjectiveOut
    space: Annotated[list[dict[str, Any]], BeforeValidator(_document)]
    space_version: int
    keys: list[str] = Field(
        validation_alias=AliasPath("space", "keys"), description="Of the search space, in its order."
    )
    sampler: str
    sampler_options: dict[str, Any]
    constraints: Annotated[list[dict[str, Any]], BeforeValidator(_documents)]
    scheduler: str
    scheduler_options: dict[str, Any]
    seed: int
    budget: int
    parallel: int
    priority: int
    weight: float
    max_attempts: int
    job_template_id: int | None
    best_trial_id: int | None
    revision: int
    counts: dict[str, int]
    created_by: str
    created_at: datetime
    changed_at: datetime
    finished_at: datetime | None
    parents: list[int] = Field(description="Studies that it follows.")
    checks: dict[str, float] = Field(description="Thresholds of the checklist that it overrides.")
    checkpoints: Annotated[dict[str, Any], BeforeValidator(_kept), WithJsonSchema(CHECKPOINTS)] = Field(
        validation_alias="retention"
    )


SPACE_LIST: dict[str, Any] = {
    "type": "array",
    "items": {"type": "object"},
    "minItems": 1,
    "maxItems": PARAMETERS_MOST,
    "description": "As in the study's document.",
}


class StudyChange(Received):
    """Only the fields given are changed; `round`: id or name of a round of the project, null for none.
    `priority`: before other studies of the project; `weight`: against those of the same priority."""

    goal: Lines = ""
    note: Lines = ""
    conclusion: Lines = ""
    round: RoundReference = None
    state: State = "running"
    budget: int = Field(default=1, ge=1, le=TRIALS_MOST)
    parallel: int = Field(default=1, ge=1, le=PARALLEL_MOST)
    priority: int = Field(default=0, ge=-PRIORITY_MOST, le=PRIORITY_MOST)
    weight: float = Field(default=1.0, ge=WEIGHT_LEAST, le=WEIGHT_MOST, allow_inf_nan=False)
    checks: Annotated[dict[str, Any], WithJsonSchema(CHECKS)] = Field(default={})
    checkpoints: Annotated[dict[str, Any], WithJsonSchema(CHECKPOINTS)] = Field(default={})
    space: Annotated[list[Any], WithJsonSchema(SPACE_LIST)] = Field(
        default=[], description="The same hyperparameters, with other ranges or choices for trials to come."
    )


class PreviewIn(Received):
    document: dict[str, Any] = Field(examples=[EXAMPLE])
    count: int = Field(default=100, ge=1, le=1000)


class MendOut(Sent):
    """`changes`: what it does, each a `change` with its values; `document`: the design afterwards."""

    title: str
    changes: list[dict[str, Any]]
    document: dict[str, Any]


class AdviceOut(Sent):
    """`rule`: its stable name; `field`: where in the document; `mend`: None where nothing in this design
    alone would do, as with configurations that were written by hand."""

    rule: str
    sentence: str
    reason: str
    source: str
    field: str
    mend: MendOut | None


class LintOut(Sent):
    """In reading order, the first 20; empty for a design without reproach."""

    items: list[AdviceOut]


class PreviewOut(Sent):
    """`configurations`: what the study would try first; empty where `faults` say what is wrong."""

    configurations: list[dict[str, Value]]
    faults: list[FaultOut]
    warnings: list[FaultOut]
