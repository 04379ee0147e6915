"""A client of its own process: `python -m tests.promises.asking URL STUDY NAME TURNS`.

Asks, reports and finishes TURNS trials, one after another; prints the numbers that it got, and what failed.
"""

import contextlib
import json
import os
import sys

from tunebook.api import Api, patiently
from tunebook.errors import TunebookError

PATIENCE = {"patience_seconds": 60.0}


def main() -> None:
    url, study, name, turns = sys.argv[1:]
    numbers: list[int] = []
    wrong: list[str] = []
    with contextlib.closing(Api(url, os.environ["TUNEBOOK_TOKEN"], timeout_seconds=60)) as api:
        for turn in range(int(turns)):
            try:
                numbers.append(live(api, url, study, f"{name}/{turn}"))
            except TunebookError as error:
                wrong.append(f"{type(error).__name__}: {error}")
    print(json.dumps({"numbers": numbers, "wrong": wrong}))


def live(api: Api, url: str, study: str, client: str) -> int:
    """Suggest, report, tell. A busy server is asked again; a deadlock would show as one that stays busy."""
    asked = {"client_id": client, "count": 1}
    (claim,) = patiently(lambda: api.post(f"/studies/{study}/trials:ask", asked), **PATIENCE)["trials"]
    trial = claim["trial"]
    batch = {"epoch": 1, "sequence": 0, "series": {"loss": {"step": [0], "value": [trial["number"] / 8]}}}
    with contextlib.closing(Api(url, claim["token"], timeout_seconds=60)) as own:
        patiently(lambda: own.post(f"/trials/{trial['id']}:report", batch), **PATIENCE)
        patiently(
            lambda: own.post(f"/trials/{trial['id']}:finish", {"epoch": 1, "state": "completed"}), **PATIENCE
        )
    return int(trial["number"])


if __name__ == "__main__":
    main()
