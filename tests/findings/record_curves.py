"""Records real curves of `examples/digits_mlp.py`, for the tests of what is read from curves.

    python tests/findings/record_curves.py

trains every setting (ten seconds on one core) and writes `recorded/trends.json`. Run it again only for a new
setting: tests rest on the curves as they are.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).parent
EXAMPLE = HERE.parents[1] / "examples" / "digits_mlp.py"
METRICS = ("train/loss", "valid/loss", "valid/error")
DIGITS = 5

Setting = Mapping[str, str | int | float]
TRENDS: Mapping[str, Setting] = {
    "overfitting": {
        "optimizer": "adam",
        "learning_rate": 0.005,
        "width": 8,
        "weight_decay": 0.0,
        "schedule": "constant",
        "steps": 8_000,
        "evaluate_every": 100,
    },
    "late variance": {
        "optimizer": "adam",
        "learning_rate": 0.03,
        "batch_size": 16,
        "weight_decay": 0.01,
        "schedule": "constant",
        "steps": 4_000,
        "evaluate_every": 50,
    },
    "still improving": {
        "optimizer": "nesterov",
        "learning_rate": 0.002,
        "momentum": 0.5,
        "schedule": "constant",
        "steps": 1_000,
        "evaluate_every": 20,
    },
    "long tail": {
        "optimizer": "nesterov",
        "learning_rate": 0.3,
        "batch_size": 500,
        "weight_decay": 0.01,
        "schedule": "constant",
        "steps": 10_000,
        "evaluate_every": 200,
    },
}
FILES: Mapping[str, Mapping[str, Setting]] = {"trends.json": TRENDS}


def record(setting: Setting) -> dict[str, object]:
    """The setting, its steps, and one list of values a metric."""
    arguments = [f"--{name}={value}" for name, value in setting.items()]
    ran = subprocess.run(
        [sys.executable, str(EXAMPLE), *arguments], capture_output=True, text=True, check=False
    )
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    values = {name: [float(f"{line[name]:.{DIGITS}g}") for line in lines] for name in METRICS}
    return {"setting": dict(setting), "steps": [line["step"] for line in lines], "values": values}


if __name__ == "__main__":
    for file, settings in FILES.items():
        found = {name: record(setting) for name, setting in settings.items()}
        path = HERE / "recorded" / file
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(found) + "\n")
        print(f"{path}: {path.stat().st_size:,} bytes")
