"""A training job for the storm: it reports and writes down every step with the time, and what the SDK raises.

`--record=FOLDER --steps=N`: `TRIAL-EPOCH` there holds a line a step; `exceptions` what training saw.
"""

import argparse
import os
import time
import traceback
from pathlib import Path

import tunebook

STEPS, STEP_SECONDS, CHECKPOINT_STEPS = 40, 0.05, 10


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--record", type=Path, required=True)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--steps", type=int, default=STEPS)
    options = parser.parse_args()
    record: Path = options.record
    trial = tunebook.current_trial()
    file = os.open(record / f"{trial.number}-{trial.epoch}", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    first = 1 if trial.resume_step is None else trial.resume_step + 1
    for step in range(first, options.steps + 1):
        try:
            trial.report(step, {"loss": loss(step, trial.epoch)})
            if step % CHECKPOINT_STEPS == 0:
                path = trial.checkpoint_folder / f"step-{step}"
                path.write_text(str(step))
                trial.checkpoint(step, path)
        except Exception:
            with (record / "exceptions").open("a") as said:
                said.write(traceback.format_exc())
        os.write(file, f"{step} {time.time()}\n".encode())
        time.sleep(STEP_SECONDS)


def loss(step: int, epoch: int) -> float:
    """Tells which attempt reported it."""
    return 1.0 / step + epoch / 1024


if __name__ == "__main__":
    main()
