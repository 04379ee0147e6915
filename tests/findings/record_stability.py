"""Records real runs of examples/digits_mlp.py, stable and not, into recorded/stability.json (a minute):

    python tests/findings/record_stability.py

`kind` is what the training loss does, told by looking at it: a jump stays up, a spike does not.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

EXAMPLE = Path(__file__).parents[2] / "examples" / "digits_mlp.py"
RECORDED = Path(__file__).parent / "recorded" / "stability.json"
METRICS = ("train/loss", "valid/loss", "grad/norm")
LONG: dict[str, object] = {"schedule": "constant", "steps": 3_000, "evaluate_every": 40}
RISING_RATE: dict[str, object] = {**LONG, "warmup_steps": 3_000}  # so that each rate is met once
RUNS: list[tuple[str, dict[str, object]]] = [
    ("jumps", {**RISING_RATE, "optimizer": "nesterov", "learning_rate": 0.3, "momentum": 0.99}),
    ("jumps", {**RISING_RATE, "optimizer": "nesterov", "learning_rate": 0.35, "momentum": 0.99}),
    ("jumps", {**RISING_RATE, "optimizer": "nesterov", "learning_rate": 0.4, "momentum": 0.99}),
    ("jumps", {**RISING_RATE, "optimizer": "nesterov", "learning_rate": 0.2, "momentum": 0.99}),
    ("spikes", {**RISING_RATE, "optimizer": "adam", "learning_rate": 0.3}),
    ("rises", {**RISING_RATE, "optimizer": "adam", "learning_rate": 3.0}),
    ("rises", {**RISING_RATE, "optimizer": "adam", "learning_rate": 0.03, "weight_decay": 10.0}),
    ("falls", {**RISING_RATE, "optimizer": "nesterov", "learning_rate": 1.0}),
    ("falls", {**LONG, "optimizer": "nesterov", "learning_rate": 0.3}),
    ("falls", {**LONG, "optimizer": "nesterov", "learning_rate": 0.05, "momentum": 0.99}),
    ("falls", {**LONG, "optimizer": "nesterov", "weight_decay": 0.1, "schedule": "cosine"}),
    ("falls", {**LONG, "optimizer": "adam", "learning_rate": 0.01, "schedule": "cosine"}),
]
SWEPT = [float(f"{rate:.3g}") for rate in np.geomspace(0.01, 10, 16)]


def run(settings: dict[str, object]) -> tuple[int, dict[str, list[float]]]:
    """The exit status and each metric by step, five digits."""
    argv = [sys.executable, str(EXAMPLE), *(f"--{name}={value}" for name, value in settings.items())]
    found = subprocess.run(argv, capture_output=True, text=True, check=False)
    rows = [json.loads(line) for line in found.stdout.splitlines()]
    columns = {name: [float(f"{row[name]:.5g}") for row in rows] for name in METRICS}
    return found.returncode, {"step": [row["step"] for row in rows], **columns}


def sweep() -> list[dict[str, float | None]]:
    """The lowest validation loss of short runs by learning rate; None where the loss was lost."""
    found: list[dict[str, float | None]] = []
    for rate in SWEPT:
        status, curves = run({"learning_rate": rate, "steps": 400, "evaluate_every": 40})
        found.append(
            {"learning_rate": rate, "valid/loss": min(curves["valid/loss"]) if status == 0 else None}
        )
    return found


if __name__ == "__main__":
    runs = [{"kind": kind, "settings": settings, "curves": run(settings)[1]} for kind, settings in RUNS]
    RECORDED.parent.mkdir(exist_ok=True)
    RECORDED.write_text(json.dumps({"runs": runs, "sweep": sweep()}, separators=(",", ":")) + "\n")
