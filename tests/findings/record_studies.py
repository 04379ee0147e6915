"""Records small studies of real trainings, each with settings that cause a finding, or keep clear of it:

    python tests/findings/record_studies.py [STUDY ...]

trains every trial of `STUDIES`, or of those named, with each of three seeds by `examples/digits_mlp.py` (all
of them: 240 runs, 3 CPU minutes) and writes `recorded/studies.json`. The same settings give the same curves.
Run it again only for a new study: tests rest on the curves as they are.
"""

import itertools
import json
import math
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
EXAMPLE = HERE.parents[1] / "examples" / "digits_mlp.py"
RECORDED = HERE / "recorded" / "studies.json"
METRICS = ("train/loss", "valid/loss")
SEEDS = (0, 1, 2)
DIGITS = 4
PARALLEL = 2
INFEASIBLE_EXIT_CODE = 87

Knob = str | int | float


@dataclass(frozen=True, slots=True)
class RealStudy:
    """A grid over `varied`, everything else fixed; the first varied knob is the scientific one. `flipped`
    are knobs whose sign the training command gets wrong."""

    why: str
    fixed: Mapping[str, Knob]
    varied: Mapping[str, Sequence[Knob]]
    evaluation: str = "best"
    flipped: tuple[str, ...] = ()

    def configurations(self) -> list[dict[str, Knob]]:
        return [
            dict(zip(self.varied, values, strict=True)) for values in itertools.product(*self.varied.values())
        ]

    def space(self) -> list[dict[str, object]]:
        """As a study's design says it; a learning rate is never what a study asks about."""
        fixed: list[dict[str, object]] = [
            {"name": name, "type": "fixed", "value": value} for name, value in self.fixed.items()
        ]
        return fixed + [self._varied(name, knobs) for name, knobs in self.varied.items()]

    def _varied(self, name: str, knobs: Sequence[Knob]) -> dict[str, object]:
        if name == "learning_rate":
            return {"name": name, "type": "float", "low": min(knobs), "high": max(knobs), "scale": "log"}
        role = "scientific" if name == next(iter(self.varied)) else "nuisance"
        return {"name": name, "type": "categorical", "choices": list(knobs), "role": role}

    def arguments(self, configuration: Mapping[str, Knob], seed: int) -> list[str]:
        knobs = {"seed": seed, **self.fixed, **configuration}
        return [f"--{name}={'-' if name in self.flipped else ''}{value}" for name, value in knobs.items()]


Grid = Mapping[str, Sequence[Knob]]
OPTIMIZERS: Grid = {"optimizer": ("nesterov", "adam"), "width": (12, 24)}
ADAM: Grid = {"beta2": (0.99, 0.999), "width": (24, 32)}
CONSTANT: Mapping[str, Knob] = {"schedule": "constant"}
WARMING: Mapping[str, Knob] = {  # so that each rate is met once
    **CONSTANT,
    "optimizer": "nesterov",
    "learning_rate": 0.35,
    "steps": 3_000,
    "warmup_steps": 3_000,
    "evaluate_every": 75,
}
RATES: Grid = {"learning_rate": tuple(float(f"{rate:.3g}") for rate in np.geomspace(0.03, 20, 16))}
STUDIES: Mapping[str, RealStudy] = {
    "healthy": RealStudy(
        "a rate that decays, some weight decay, long enough",
        {"learning_rate": 0.01, "schedule": "cosine", "steps": 1_500, "evaluate_every": 40},
        {"optimizer": ("nesterov", "adam"), "weight_decay": (0.01, 0.03)},
    ),
    "no regularisation": RealStudy(
        "1,000 images, no weight decay, 320 passes over them",
        {**CONSTANT, "learning_rate": 0.01, "weight_decay": 0.0, "steps": 5_000, "evaluate_every": 125},
        OPTIMIZERS,
    ),
    "weight decay": RealStudy(
        "the same training, regularised",
        {**CONSTANT, "learning_rate": 0.01, "weight_decay": 0.3, "steps": 5_000, "evaluate_every": 125},
        OPTIMIZERS,
    ),
    "batches of 16": RealStudy(
        "small batches at a rate that stays high, for two values that hardly differ",
        {
            **CONSTANT,
            "optimizer": "adam",
            "learning_rate": 0.02,
            "weight_decay": 0.03,
            "batch_size": 16,
            "steps": 3_000,
            "evaluate_every": 75,
        },
        ADAM,
    ),
    "batches of 64, decayed rate": RealStudy(
        "the same two values, calmed down",
        {
            "schedule": "cosine",
            "optimizer": "adam",
            "learning_rate": 0.02,
            "weight_decay": 0.03,
            "steps": 3_000,
            "evaluate_every": 75,
        },
        ADAM,
    ),
    "600 slow steps": RealStudy(
        "a tenth of the rate that would do, and an end before it has",
        {**CONSTANT, "learning_rate": 0.001, "momentum": 0.5, "steps": 600, "evaluate_every": 15},
        OPTIMIZERS,
    ),
    "4,000 fast steps": RealStudy(
        "weight decay holds the network where a tenth of the steps brought it",
        {
            **CONSTANT,
            "optimizer": "nesterov",
            "learning_rate": 0.1,
            "weight_decay": 0.1,
            "steps": 4_000,
            "evaluate_every": 100,
        },
        {"momentum": (0.8, 0.9), "width": (24, 32)},
    ),
    "wrong sign": RealStudy(
        "a bug: the update climbs the gradient, as `--learning_rate=-0.0005` makes it",
        {**CONSTANT, "learning_rate": 0.0005, "steps": 300, "evaluate_every": 10},
        OPTIMIZERS,
        flipped=("learning_rate",),
    ),
    "right sign": RealStudy(
        "the same without the bug",
        {**CONSTANT, "learning_rate": 0.0005, "steps": 300, "evaluate_every": 10},
        OPTIMIZERS,
    ),
    "wrong schedule": RealStudy(
        "a bug: the rate only grows, for its warmup is as long as the run",
        {
            **CONSTANT,
            "optimizer": "adam",
            "learning_rate": 3.0,
            "steps": 2_000,
            "warmup_steps": 2_000,
            "evaluate_every": 50,
        },
        ADAM,
    ),
    "momentum of 0.99": RealStudy(
        "a rate that grows until training falls apart",
        WARMING,
        {"momentum": (0.985, 0.99), "width": (64, 128)},
    ),
    "momentum of 0.9": RealStudy(
        "the same rates, borne",
        WARMING,
        {"momentum": (0.8, 0.9), "width": (64, 128)},
    ),
    "60 steps": RealStudy(
        "so short that only the highest rates arrive",
        {
            "schedule": "cosine",
            "optimizer": "nesterov",
            "momentum": 0.5,
            "batch_size": 200,
            "steps": 60,
            "evaluate_every": 3,
        },
        RATES,
        evaluation="last",
    ),
    "Adam": RealStudy(
        "an optimizer that bears rates far above its best one",
        {"schedule": "cosine", "optimizer": "adam", "width": 32, "steps": 400, "evaluate_every": 20},
        {"learning_rate": tuple(float(f"{rate:.3g}") for rate in np.geomspace(0.0003, 10, 16))},
        evaluation="last",
    ),
}


def train(arguments: Sequence[str]) -> dict[str, object]:
    """Each metric by evaluation; an infeasible trial's last evaluation, which is out of turn, is left out."""
    argv = [sys.executable, str(EXAMPLE), *arguments]
    ran = subprocess.run(argv, capture_output=True, text=True, check=False)
    rows = [json.loads(line) for line in ran.stdout.splitlines()]
    infeasible = ran.returncode == INFEASIBLE_EXIT_CODE
    kept = [row for row in rows if not infeasible or math.isfinite(row["train/loss"])]
    values = {name: [float(f"{row[name]:.{DIGITS}g}") for row in kept] for name in METRICS}
    return {"infeasible": infeasible, "values": values}


def record(study: RealStudy) -> dict[str, list[dict[str, object]]]:
    """The trials of the study by seed, in the order of its configurations."""
    configurations = study.configurations()
    with ThreadPoolExecutor(PARALLEL) as pool:
        return {
            str(seed): list(pool.map(train, [study.arguments(each, seed) for each in configurations]))
            for seed in SEEDS
        }


if __name__ == "__main__":
    before = json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
    asked = sys.argv[1:] or list(STUDIES)
    found = {
        name: record(study) if name in asked or name not in before else before[name]
        for name, study in STUDIES.items()
    }
    RECORDED.write_text(json.dumps(found, separators=(",", ":"), allow_nan=False) + "\n")
    print(f"{RECORDED}: {RECORDED.stat().st_size:,} bytes")
