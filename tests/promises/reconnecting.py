"""Many clients in one: `python -m tests.promises.reconnecting URL CLAIMS SPOOL GONE REPORTS BACK JITTER`.

Each holds one trial of the file CLAIMS, reports while the server is gone (the file GONE says so), finishes,
and waits until all of it is acknowledged. Prints "ready", then when the first request of each client came
after the file BACK was there, what was answered from then on, and how long the last one took.
"""

import json
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tunebook.api import Api
from tunebook.client import Client
from tunebook.errors import ApiError, Unreachable

back_at = 0.0
answers: Counter[str] = Counter()
arrivals: dict[str, float] = {}
lock = threading.Lock()


class Watched(Api):
    """Notes what it was answered since the server is back."""

    def request(self, method: str, path: str, **options: Any) -> Any:
        after = bool(back_at)
        if after:
            with lock:
                arrivals.setdefault(path.partition(":")[0], time.time())
        said = "200"
        try:
            return super().request(method, path, **options)
        except ApiError as error:
            said = str(error.status)
            raise
        except Unreachable as error:
            said = str(error)
            raise
        finally:
            if after:
                with lock:
                    answers[said] += 1


def main() -> None:
    global back_at  # noqa: PLW0603
    url, claims, spool, gone, reports, back, jitter = sys.argv[1:]
    if jitter == "off":
        setattr(sys.modules["tunebook.reporting"], "full_jitter", lambda *_: 1.0)  # noqa: B010
    client = Client(url, "tbk_pat_test", spool=spool)
    setattr(sys.modules["tunebook.client"], "Api", Watched)  # noqa: B010
    trials = [client.hold(claim) for claim in json.loads(Path(claims).read_text())]
    wait_for(Path(gone))
    for step in range(int(reports)):
        for trial in trials:
            trial.report(step, {"loss": step / 8, "accuracy": 0.5, "rate": 0.1, "norm": 1.0})
    print("ready", flush=True)
    wait_for(Path(back))
    back_at = time.time()
    for trial in trials:
        trial._end = "completed"
        trial._append({"type": "finish", "state": "completed", "reason": "", "dropped": 0}, last=True)
        trial._writer.close()
        trial._courier._closing.set()
    while not all(trial.settled for trial in trials):
        time.sleep(0.1)
    finished = sum(trial._courier.sender.finished for trial in trials)
    said = {"seconds": time.time() - back_at, "finished": finished, "answers": answers}
    print(json.dumps({**said, "arrivals": list(arrivals.values())}), flush=True)


def wait_for(path: Path) -> None:
    while not path.exists():
        time.sleep(0.05)


if __name__ == "__main__":
    main()
