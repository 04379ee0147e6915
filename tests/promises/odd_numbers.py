"""Numbers that programs like to lose, sent and read as users do."""

import csv
import io
import math
import struct
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx

from tests.promises.loops import loop_study, stored
from tests.promises.running import Running
from tunebook.client import Client
from tunebook_server.domain.numbers import decode

VALUES = (math.nan, math.inf, -math.inf, -0.0, 1e308, 5e-324, -2.2250738585072014e-308)
STEPS = list(range(len(VALUES)))


def bits(values: Iterable[Any]) -> list[bytes]:
    """NaN equals NaN, and -0.0 does not equal 0.0."""
    return [struct.pack("<d", decode(value)) for value in values]


def sent_and_read(live: Running, spool: Path) -> None:
    """Asserts that the SDK sends each of them and that the API, the SDK and the table as CSV have its bits.

    One trial reports all of them; then one trial each, as a table shows the last value of a metric alone.
    """
    with closing(Client(live.url, live.token, spool=spool)) as client:
        study = client.study(loop_study(live.api))
        for values in (VALUES, *((value,) for value in VALUES)):
            trial = study.ask()
            assert trial is not None
            for step, value in enumerate(values):
                trial.report(step, {"loss": value, "odd": value})
            assert trial.finish()
            assert bits(value for _, value in stored(live.api, trial.id, "odd")) == bits(values)
        objectives = [row["objective"] for row in study.trials(frame="list")]
        table = httpx.get(
            f"{live.url}/api/v1/studies/{study.id}/export.csv",
            headers={"Authorization": f"Bearer {live.token}"},
        )
    finite = [value for value in VALUES if math.isfinite(value)]
    assert bits(value for value in objectives if value is not None) == bits([min(finite), *finite])
    lasts = [float(row["last.odd"]) for row in csv.DictReader(io.StringIO(table.text))]
    assert bits(lasts) == bits([VALUES[-1], *VALUES])
