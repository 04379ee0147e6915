"""What a worker whose trials run as jobs of Ray is told besides."""

import json
import math
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

STOP_WAIT = "RAY_JOB_STOP_WAIT_TIME_S"
"""Between SIGTERM and SIGKILL of `ray job stop`, seconds; Ray reads it in the job's own environment."""
_LABEL = re.compile(
    r"(?P<key>[A-Za-z0-9_.-]{1,64})=(?P<value>[A-Za-z0-9_.-]{1,64})"
    r":(?P<resource>[A-Za-z0-9_.:-]{1,100})=(?P<amount>[0-9.]{1,20})"
)
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NOT_RESOURCES = frozenset({"CPU", "GPU", "memory", "object_store_memory"})


class WrongRayOption(Exception):
    """The message names the variable and says what would be right."""


@dataclass(frozen=True, slots=True)
class RayOptions:
    address: str
    """Of the dashboard: http://head:8265."""
    token_file: Path | None
    headers_file: Path | None
    runtime_env: Mapping[str, Any]
    labels: Mapping[tuple[str, str], tuple[str, float]]
    """A label that the worker offers, and the resource that such nodes have, with the amount for one job."""

    def headers(self) -> dict[str, str]:
        """Read each time: a token that was renewed is the one that counts. Raises OSError, ValueError."""
        found = {} if self.headers_file is None else _read_headers(self.headers_file)
        if self.token_file is not None:
            found["Authorization"] = f"Bearer {_read_token(self.token_file)}"
        return found


def read(environment: Mapping[str, str]) -> RayOptions:
    """Raises WrongRayOption."""
    options = RayOptions(
        address=_address(environment.get("TUNEBOOK_RAY_ADDRESS", "").strip().rstrip("/")),
        token_file=_file(environment, "TUNEBOOK_RAY_TOKEN_FILE"),
        headers_file=_file(environment, "TUNEBOOK_RAY_HEADERS_FILE"),
        runtime_env=_runtime_env(environment.get("TUNEBOOK_RAY_RUNTIME_ENV", "").strip()),
        labels=_labels(environment.get("TUNEBOOK_RAY_LABELS", "")),
    )
    try:
        options.headers()
    except (OSError, ValueError) as error:
        raise WrongRayOption(f"TUNEBOOK_RAY_TOKEN_FILE, TUNEBOOK_RAY_HEADERS_FILE: {error}") from None
    return options


def _address(text: str) -> str:
    meaning = "TUNEBOOK_RAY_ADDRESS: the address of Ray's dashboard, such as http://head:8265"
    try:
        parts = urlsplit(text)
        found = parts.scheme in ("http", "https") and parts.hostname and (parts.port or True)
    except ValueError:
        found = False
    if not found or parts.query or parts.fragment:
        raise WrongRayOption(f"{meaning}.")
    if parts.username or parts.password:
        raise WrongRayOption(f"{meaning}; credentials belong into TUNEBOOK_RAY_HEADERS_FILE.")
    return text


def _file(environment: Mapping[str, str], variable: str) -> Path | None:
    name = environment.get(variable, "").strip()
    return Path(name).absolute() if name else None


def _read_token(file: Path) -> str:
    token = file.read_text(encoding="ascii").strip()
    if not token or not token.isprintable():
        raise ValueError(f"{file} holds no token in one line.")
    return token


def _read_headers(file: Path) -> dict[str, str]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except json.JSONDecodeError:
        found = None
    right = isinstance(found, dict) and all(
        _HEADER.fullmatch(name) and isinstance(value, str) and value.isascii() and value.isprintable()
        for name, value in found.items()
    )
    if not isinstance(found, dict) or not right:
        raise ValueError(f'{file} holds no JSON object of headers, such as {{"X-Team": "vision"}}.')
    return found


def _runtime_env(text: str) -> dict[str, Any]:
    """It is shown to everyone who may see Ray's dashboard."""
    if not text:
        return {}
    try:
        found = json.loads(text)
    except ValueError as error:
        raise WrongRayOption(f"TUNEBOOK_RAY_RUNTIME_ENV: not JSON: {error}.") from None
    if not isinstance(found, dict):
        raise WrongRayOption('TUNEBOOK_RAY_RUNTIME_ENV: a JSON object, such as {"env_vars": {"A": "b"}}.')
    variables = found.get("env_vars", {})
    if not isinstance(variables, dict) or not all(isinstance(value, str) for value in variables.values()):
        raise WrongRayOption("TUNEBOOK_RAY_RUNTIME_ENV: env_vars: an object of texts.")
    for name in variables:
        if name.startswith("TUNEBOOK_") or name == STOP_WAIT:
            raise WrongRayOption(f"TUNEBOOK_RAY_RUNTIME_ENV: {name} is not for a job's environment.")
    return found


def _labels(text: str) -> dict[tuple[str, str], tuple[str, float]]:
    labels: dict[tuple[str, str], tuple[str, float]] = {}
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise WrongRayOption(f"TUNEBOOK_RAY_LABELS: {error}.") from None
    for word in words:
        found = _LABEL.fullmatch(word)
        if found is None:
            raise WrongRayOption(f"TUNEBOOK_RAY_LABELS: {word!r}: key=value:resource=amount.")
        if found["key"] in dict(labels.keys()):
            raise WrongRayOption(
                f"TUNEBOOK_RAY_LABELS: {found['key']} twice; a worker has one value of each."
            )
        if found["resource"] in _NOT_RESOURCES:
            raise WrongRayOption(f"TUNEBOOK_RAY_LABELS: {found['resource']} is asked for by the template.")
        labels[found["key"], found["value"]] = (found["resource"], _amount(word, found["amount"]))
    return labels


def _amount(word: str, text: str) -> float:
    """Ray takes parts of one, to four places, and whole numbers above."""
    try:
        amount = float(text)
    except ValueError:
        amount = math.nan
    if not (0.0001 <= amount <= 1 or (amount.is_integer() and amount <= 1e6 and amount > 0)):
        raise WrongRayOption(f"TUNEBOOK_RAY_LABELS: {word!r}: an amount as 0.01 or 2.")
    return amount
