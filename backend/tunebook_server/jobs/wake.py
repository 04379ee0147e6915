"""A study was created or changed, or a trial ended: sample now instead of at the next sweep."""

from tunebook_server.jobs.hinting import hint
from tunebook_server.services import sampling
from tunebook_server.storage.engine import Engine


def wake(engine: Engine, study_id: int) -> None:
    hint(engine, sampling.fill(engine, study_id=study_id))
