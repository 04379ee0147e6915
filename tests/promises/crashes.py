"""Writers that report while their database crashes, each until it is acknowledged and never again."""

import contextlib
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from tests.promises.loops import ask, compared, loop_study, stored
from tests.promises.running import Running
from tunebook.api import Api, patiently

WRITERS, BATCH_POINTS = 8, 100


def write_through_crashes(
    live: Running, points: int, stops: int, crash: Callable[[int], object]
) -> Counter[str]:
    """Writers send their batches in order; at even shares of all points, the `crash` of this number (1, 2, …)
    comes over the database. What the curves then lack, double or change."""
    study, each = loop_study(live.api), points // WRITERS
    claims = [ask(live.api, study, f"writer-{number}") for number in range(WRITERS)]
    acknowledged, changed = [0] * WRITERS, threading.Condition()

    def write(number: int) -> None:
        trial, token = claims[number]["trial"]["id"], claims[number]["token"]
        with contextlib.closing(Api(live.url, token)) as api:
            for first in range(0, each, BATCH_POINTS):
                steps = list(range(first, min(first + BATCH_POINTS, each)))
                series = {"loss": {"step": steps, "value": [value(number, step) for step in steps]}}
                batch = {"epoch": 1, "sequence": first // BATCH_POINTS, "series": series}
                patiently(lambda: api.post(f"/trials/{trial}:report", batch), patience_seconds=120)  # noqa: B023
                with changed:
                    acknowledged[number] += len(steps)
                    changed.notify_all()

    with ThreadPoolExecutor(WRITERS) as pool:
        writing = [pool.submit(write, number) for number in range(WRITERS)]
        for stop in range(1, stops + 1):
            with changed:
                changed.wait_for(lambda: sum(acknowledged) >= stop * points // (stops + 1), 300)  # noqa: B023
            crash(stop)
        for done in writing:
            done.result()
    found: Counter[str] = Counter(lost=0, doubled=0, wrong=0)
    for number, claim in enumerate(claims):
        expected = [(step, value(number, step)) for step in range(each)]
        found.update(compared(expected, stored(live.api, claim["trial"]["id"])))
    return found


def value(writer: int, step: int) -> float:
    return writer + step / 2**20
