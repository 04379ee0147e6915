"""A study's document (the TOML file), made ready for the API."""

import datetime as dt
import math
import operator
import tomllib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from tunebook.api import Api
from tunebook.errors import Invalid

_TEMPLATE_KEYS = ("environment", "resources", "processes", "silence_seconds", "limit_seconds")
"""Of `job`, as they are in the job template that is registered from it."""
_JOB_KEYS = {"template", "command", "folder", *_TEMPLATE_KEYS}


def load(path: Path) -> dict[str, Any]:
    """Raises Invalid, naming the line, for a file that is not TOML."""
    try:
        content: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Invalid(400, "unreadable", f"{path} cannot be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Invalid(400, "not_toml", f"{path} is not TOML: {error}.") from None
    return content


@dataclass(frozen=True, slots=True)
class Plan:
    """A study document taken apart: what goes to which address."""

    project: str
    design: Mapping[str, Any]
    template: Mapping[str, Any] | None
    """The job template to register; None where none is needed or where it is registered already."""


def plan(document: Mapping[str, Any], *, beside: Path) -> Plan:
    """`beside`: what the job's `folder` is relative to. Raises Invalid for what the server cannot see."""
    if not isinstance(document, Mapping):
        raise _fault(
            "", f"a study document is a table, not {_kind(document)}", "Give a dict, or a TOML file."
        )
    design = plain({key: value for key, value in document.items() if key != "project"})
    project = document.get("project")
    if not isinstance(project, str) or not project:
        raise _fault("project", "project is missing", 'Name the project: project = "digits".')
    template = _template(design.get("job"), beside)
    if template is not None:
        design["job"] = {"template": template["name"]}
    return Plan(project, design, template if template is not None and "argv" in template else None)


def check(api: Api, plan: Plan) -> list[Mapping[str, str]]:
    """What a person should know before starting; creates nothing. Raises Invalid with every fault."""
    answer = api.post("/studies:preview", {"document": plan.design, "count": 1})
    faults = answer["faults"]
    if faults:
        detail = f"The study has {len(faults)} fault{'s' if len(faults) > 1 else ''}."
        raise Invalid(422, "invalid", detail, {"faults": faults})
    warnings: list[Mapping[str, str]] = answer["warnings"]
    return warnings


def create(api: Api, plan: Plan) -> dict[str, Any]:
    """Creates the study, with its project and job template where they are new; the API's study."""
    project_id = project(api, plan.project)["id"]
    if plan.template is not None:
        api.post(f"/projects/{project_id}/job-templates", plan.template)
    key = {"Idempotency-Key": uuid.uuid4().hex}
    study: dict[str, Any] = api.post(f"/projects/{project_id}/studies", plan.design, headers=key)
    return study


def _template(job: object, beside: Path) -> dict[str, Any] | None:
    """None for a study without a job; without `argv` for a template that is registered already."""
    if job is None:
        return None
    if not isinstance(job, dict):
        raise _fault("job", "job is not a table", "Write [job] with template and command.")
    for key in sorted(job.keys() - _JOB_KEYS):
        raise _fault(f"job.{key}", f"{key} is not known here", f"Known are {', '.join(sorted(_JOB_KEYS))}.")
    name, command = job.get("template"), job.get("command")
    if not isinstance(name, str) or not name:
        raise _fault("job.template", "template is missing", "Name the job template.")
    if command is None:
        return {"name": name}
    if not isinstance(command, list) or not command or not all(isinstance(word, str) for word in command):
        remedy = 'Use one string for each word: command = ["python", "train.py"].'
        raise _fault("job.command", "command is not a list of strings", remedy)
    folder = (beside / str(job.get("folder", "."))).resolve()
    if not folder.is_dir():
        raise _fault("job.folder", f"{folder} is not a folder", "Name a folder, relative to this file.")
    more = {key: job[key] for key in _TEMPLATE_KEYS if key in job}
    return {"name": name, "argv": command, "folder": str(folder), **more}


def project(api: Api, name: str) -> dict[str, Any]:
    """The project of this name, made where there is none."""
    for found in api.pages("/projects"):
        if found["name"] == name:
            return found
    created: dict[str, Any] = api.post("/projects", {"name": name})
    return created


def reference(what: str, given: object) -> int | str:
    """The id or the name by which something is meant. Raises TypeError for what is neither."""
    if isinstance(given, str):
        return given
    try:
        if not isinstance(given, bool):
            return operator.index(given)  # type: ignore[arg-type]
    except TypeError:
        pass
    raise TypeError(f"{what} is {_kind(given)}; give its id, or its name as a string")


def plain(value: Any, field: str = "") -> Any:
    """As JSON has it: numbers and arrays of NumPy as Python's, and dates, infinities and NaN as strings, of
    which the server then says which field they spoil. Raises Invalid for what JSON cannot hold.
    """
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {_key(key, field): plain(item, _below(field, key)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, _below(field, place)) for place, item in enumerate(value)]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(value)
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, PurePath):
        return str(value)
    remedy = "Give a number, a text, a boolean, or a list or dict of them."
    raise _fault(field, f"{_kind(value)} has no place in a study document", remedy)


def _key(key: object, field: str) -> str:
    if isinstance(key, str):
        return key
    raise _fault(field, f"the key {key!r} is no text", "Give it as a string.")


def _below(field: str, part: object) -> str:
    return f"{field}.{part}" if field else str(part)


def _kind(value: object) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"


def _fault(field: str, problem: str, remedy: str) -> Invalid:
    fault = {"field": field, "problem": problem, "remedy": remedy}
    return Invalid(422, "invalid", "The study has 1 fault.", {"faults": [fault]})
