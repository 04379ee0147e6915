"""The smallest training script: it reports one point, and stays until it was seen."""

import time
from pathlib import Path

import tunebook

tunebook.current_trial().report(10, {"loss": 0.125})
while not Path("seen").exists():
    time.sleep(0.05)
