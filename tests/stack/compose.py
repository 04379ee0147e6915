"""docker-compose.yml as Compose reads it: anchors joined, and variables at their defaults."""

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
_VARIABLE = re.compile(r"\$\{\w+:-([^}]*)\}")


def read(name: str = "docker-compose.yml") -> dict[str, Any]:
    text = _VARIABLE.sub(lambda found: found[1], (ROOT / name).read_text())
    return dict(yaml.safe_load(text))


def services() -> dict[str, dict[str, Any]]:
    return dict(read()["services"])
