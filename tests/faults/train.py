"""A training job for the fault tests: slow enough to be killed, with its own record of what it reported.

With --record=FOLDER, --steps=N and --kills=K it ends after N steps, not before K files `kill-*` lie there;
with --spread=T, the first of T trials not before K / T of them, the second not before twice as many.
"""

import argparse
import itertools
import os
import time
from pathlib import Path

import tunebook

STEP_SECONDS = 0.05
CHECKPOINT_STEPS = 10


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--record", type=Path, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--spread", type=int, default=1)
    parser.add_argument("--rate", type=float)
    options = parser.parse_args()
    trial = tunebook.current_trial()
    kills = options.kills * min(trial.number + 1, options.spread) // options.spread
    record = os.open(options.record / f"trial-{trial.number}", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    first = 1 if trial.resume_step is None else trial.resume_step + 1
    for step in itertools.count(first):
        value = loss(step, trial.epoch)
        trial.report(step, {"loss": value})
        os.write(record, f"{trial.epoch} {step} {value!r}\n".encode())
        if step % CHECKPOINT_STEPS == 0:
            path = trial.checkpoint_folder / f"step-{step}"
            path.write_text(str(step))
            trial.checkpoint(step, path)
        if step >= options.steps and len(list(options.record.glob("kill-*"))) >= kills:
            return
        time.sleep(STEP_SECONDS)


def loss(step: int, epoch: int) -> float:
    """Tells which attempt reported it."""
    return 1.0 / step + epoch / 1024


if __name__ == "__main__":
    main()
