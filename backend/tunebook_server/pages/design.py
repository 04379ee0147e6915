"""A study design as people write it: a TOML text or the fields of the form, and from one to the other."""

import json
import math
import re
import tomllib
from collections.abc import Mapping
from typing import Any

from tunebook_server.domain.errors import Invalid
from tunebook_server.domain.findings.thresholds import BY_NAME
from tunebook_server.domain.option import Option
from tunebook_server.domain.retention import NUMBERS
from tunebook_server.domain.samplers import SAMPLERS
from tunebook_server.domain.schedulers import NONE, SCHEDULERS

ROW_FIELDS = ("name", "type", "role", "low", "high", "scale", "choices", "value", "parent", "values")
_BY_TYPE = {
    "float": ("low", "high", "scale"),
    "integer": ("low", "high", "scale"),
    "categorical": ("choices",),
    "boolean": (),
    "fixed": ("value",),
}

_BOUND = re.compile(r"(.+?)(<=|>=)(.+)")
_WORD = re.compile(r'\s*"(?:[^"\\]|\\.)*"\s*(?=,|$)|[^,]+')

Row = dict[str, str]


def read(fields: Mapping[str, str]) -> dict[str, Any]:
    """The study document of a sent form. Raises Invalid for a TOML that cannot be read."""
    return from_toml(fields.get("toml", "")) if fields.get("mode") == "toml" else from_form(fields)


def from_toml(text: str) -> dict[str, Any]:
    try:
        found = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise Invalid(f"the TOML cannot be read: {error}", field="toml", remedy="Mend that line.") from None
    found.pop("project", None)
    job = found.get("job")
    if isinstance(job, dict):
        # The command line registers these as a job template; here the template stands already.
        found["job"] = {
            name: value for name, value in job.items() if name not in ("command", "folder", "environment")
        }
    return found


def from_form(fields: Mapping[str, str]) -> dict[str, Any]:
    """Empty fields are left out, so that their defaults hold."""
    template, parents = fields.get("job.template", ""), _values(fields.get("parents", ""))
    checks = _part(fields, "checks.", tuple(BY_NAME))
    kept = _part(fields, "checkpoints.", ("keep", *NUMBERS))
    if "keep" in kept:
        kept = {"keep": kept["keep"]}  # the numbers beside it are out of play
    constraints = _constraints(fields.get("constraints", ""))
    of_round = fields.get("round", "")
    scheduler = _chosen(fields, "scheduler", {name: kind.options for name, kind in SCHEDULERS.items()})
    sampler = _chosen(fields, "sampler", {name: kind.options for name, kind in SAMPLERS.items()})
    return {
        **_part(fields, "", ("name", "goal", "note")),
        "objective": _part(fields, "objective.", ("metric", "direction", "evaluation")),
        "sampler": {**sampler, **_part(fields, "sampler.", ("seed",))},
        **({"constraints": constraints} if constraints else {}),
        **({"scheduler": scheduler} if scheduler.get("name", NONE) != NONE else {}),
        "budget": _part(fields, "budget.", ("trials", "parallel", "attempts")),
        **({"job": {"template": template}} if template else {}),
        **({"parents": parents} if parents else {}),
        **({"checks": checks} if checks else {}),
        **({"round": _value(of_round)} if of_round else {}),
        **({"checkpoints": kept} if kept else {}),
        "space": [_parameter(row) for row in rows(fields)],
    }


def _constraints(text: str) -> list[dict[str, Any]]:
    """`valid/latency_ms <= 100, valid/recall >= 0.9`; what is written in another way is left for the server
    to refuse."""
    found: dict[str, dict[str, Any]] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        bound = _BOUND.fullmatch(part)
        name = bound[1].strip() if bound else part
        entry = found.setdefault(name, {"metric": name})
        if bound:
            entry["max" if bound[2] == "<=" else "min"] = _value(bound[3].strip())
    return list(found.values())


def _bounds(constraints: object) -> str:
    if not isinstance(constraints, list):
        return ""
    words = [
        f"{each.get('metric', '')} {sign} {_text(each[bound])}"
        for each in constraints
        if isinstance(each, Mapping)
        for bound, sign in (("min", ">="), ("max", "<="))
        if bound in each
    ]
    return ", ".join(words)


def _chosen(fields: Mapping[str, str], part: str, kinds: Mapping[str, tuple[Option, ...]]) -> dict[str, Any]:
    """The sampler or the scheduler, with those of the options that the chosen one has."""
    name = fields.get(f"{part}.name", "")
    options = {
        option.name: _values(text) if option.many else _value(text)
        for option in kinds.get(name, ())
        if (text := fields.get(f"{part}.options.{option.name}", "").strip())
    }
    return {**({"name": name} if name else {}), **({"options": options} if options else {})}


def rows(fields: Mapping[str, str]) -> list[Row]:
    """The hyperparameters of the form in order: its fields are called `space.PLACE.FIELD`."""
    found: dict[str, Row] = {}
    for name, value in fields.items():
        head, _, rest = name.partition(".")
        place, _, field = rest.partition(".")
        if head == "space" and field in ROW_FIELDS:
            found.setdefault(place, {})[field] = value.strip()
    return [
        row for row in found.values() if any(row.get(name) for name in ("name", "low", "choices", "value"))
    ]


def to_form(document: Mapping[str, Any]) -> tuple[dict[str, str], list[Row]]:
    """The fields of the form but for the search space, and its rows."""
    fields: dict[str, str] = {name: str(document.get(name, "")) for name in ("name", "goal", "note")}
    for part in ("objective", "sampler", "scheduler", "budget", "job", "checks", "checkpoints"):
        inside = document.get(part)
        for name, value in inside.items() if isinstance(inside, Mapping) else ():
            if name != "options":
                fields[f"{part}.{name}"] = str(value)
            elif isinstance(value, Mapping):
                fields |= {f"{part}.options.{option}": _listed(inner) for option, inner in value.items()}
    parents = document.get("parents")
    if isinstance(parents, list):
        fields["parents"] = ", ".join(_text(parent) for parent in parents)
    if document.get("constraints"):
        fields["constraints"] = _bounds(document["constraints"])
    if document.get("round") is not None:
        fields["round"] = _text(document["round"])
    space = document.get("space")
    return fields, [_row(entry) for entry in space if isinstance(entry, Mapping)] if isinstance(
        space, list
    ) else []


def _listed(value: object) -> str:
    """A list of words or numbers between commas; anything else as JSON."""
    if not isinstance(value, list | tuple) or any(isinstance(each, Mapping) for each in value):
        return _text(value)
    return ", ".join(map(_text, value))


def to_toml(document: Mapping[str, Any]) -> str:
    """The document as TOML, which `from_toml` reads back; what is empty is left out."""
    said = {name: value for name, value in document.items() if value not in ("", {}, [])}
    plain = [
        f"{name} = {_toml(value)}"
        for name, value in said.items()
        if name != "space" and not isinstance(value, dict)
    ]
    tables = [_table(f"[{name}]", value) for name, value in said.items() if isinstance(value, dict)]
    space = [_table("[[space]]", entry) for entry in said.get("space", ()) if isinstance(entry, dict)]
    return "\n\n".join(["\n".join(plain), *tables, *space]) + "\n"


def _table(head: str, content: Mapping[str, Any]) -> str:
    lines = [f"{_name(key)} = {_toml(value)}" for key, value in content.items() if value not in ("", {})]
    return "\n".join([head, *lines])


def _part(fields: Mapping[str, str], prefix: str, names: tuple[str, ...]) -> dict[str, Any]:
    texts = ("name", "goal", "note", "metric", "direction", "evaluation")
    return {
        name: value.strip() if name in texts else _value(value.strip())
        for name in names
        if (value := fields.get(prefix + name, "")).strip()
    }


def _parameter(row: Row) -> dict[str, Any]:
    kind = row.get("type", "float")
    entry: dict[str, Any] = {"name": row.get("name", ""), "type": kind}
    for field in _BY_TYPE.get(kind, ()):
        text = row.get(field, "")
        if field == "choices":
            entry[field] = _values(text)
        elif text:
            entry[field] = text if field == "scale" else _value(text)
    if kind != "fixed" and row.get("role"):
        entry["role"] = row["role"]
    if row.get("parent"):
        entry["when"] = {row["parent"]: _values(row.get("values", ""))}
    return entry


def _row(entry: Mapping[str, Any]) -> Row:
    row = {name: _text(entry[name]) for name in ROW_FIELDS if name in entry and name != "choices"}
    if isinstance(entry.get("choices"), list):
        row["choices"] = ", ".join(_text(choice) for choice in entry["choices"])
    when = entry.get("when")
    if isinstance(when, Mapping) and when:
        parent, values = next(iter(when.items()))
        row["parent"] = str(parent)
        row["values"] = ", ".join(_text(value) for value in values) if isinstance(values, list) else ""
    return row


def _values(text: str) -> list[Any]:
    """Between commas; a text that holds commas stands in quotes."""
    return [_value(word.strip()) for word in _WORD.findall(text) if word.strip()]


def _value(text: str) -> Any:
    """A number, true, false or an object where the text is one, else the text: `64`, `1e-4`, `adam`."""
    try:
        return json.loads(text, parse_constant=str)
    except (ValueError, RecursionError):
        pass
    try:
        number = float(text)
    except ValueError:
        return text
    return number if math.isfinite(number) else text


def _text(value: object) -> str:
    """What `_value` reads back as the same."""
    if isinstance(value, str) and '"' not in value and _values(value) == [value] and value == value.strip():
        return value
    return json.dumps(value, ensure_ascii=False)


def _toml(value: object) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_name(key)} = {_toml(inside)}" for key, inside in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(inside) for inside in value) + "]"
    if isinstance(value, str) and "\n" in value:
        escaped = value.replace("\\", "\\\\").replace('"""', '""\\"')
        return f'"""\n{escaped}"""'
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _name(key: str) -> str:
    return key if key.replace("_", "").replace("-", "").isalnum() and key.isascii() else json.dumps(key)
