"""Hints for trials, each to the queue of what its job needs."""

from collections.abc import Sequence

from tunebook_server import broker
from tunebook_server.services import leases
from tunebook_server.storage.engine import Engine


def hint(engine: Engine, trial_ids: Sequence[int]) -> None:
    if not trial_ids:
        return
    for queue, ids in leases.by_queue(engine, trial_ids=trial_ids).items():
        broker.hint(ids, queue)
