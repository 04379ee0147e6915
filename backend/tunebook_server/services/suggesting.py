"""What a sampler that learns suggests next, worked out while nothing is locked.

A use case that needs new configurations first runs without; where its sampler learns it is told to come
again with suggestions. Those are made from the history as it stands, and hold only as long as nobody else
took their places.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from tunebook_server.domain.errors import NotFound
from tunebook_server.domain.samplers import sampler
from tunebook_server.domain.samplers.halton import Halton
from tunebook_server.domain.samplers.recorded import recorded
from tunebook_server.domain.samplers.sampler import Sampler
from tunebook_server.domain.study import Study
from tunebook_server.domain.trial import Configuration
from tunebook_server.services import trial_columns
from tunebook_server.storage import studies
from tunebook_server.storage.engine import Engine, transaction

TURN_SECONDS = 1.0
"""How long one request waits for another's model of the same study; then it takes a quasi-random point."""
TRIES = 3

T = TypeVar("T")

_log = logging.getLogger(__name__)


class Wanted(Exception):  # a question, not an error
    """`count` configurations, from the history."""

    def __init__(self, count: int) -> None:
        super().__init__(f"{count} suggestions are wanted")
        self.count = count


@dataclass(frozen=True)
class Suggestions:
    """For the places from `index` on, in this version of the space."""

    index: int
    space_version: int
    configurations: tuple[Configuration, ...]


@dataclass(frozen=True)
class QuasiRandom:
    """Instead of suggestions: no model was to be had, or not in time."""


Ready = Suggestions | QuasiRandom


def with_suggestions(engine: Engine, study_id: int, work: Callable[[Ready | None], T]) -> T:
    """Runs `work`, which is one transaction, until what it was given is enough."""
    try:
        return work(None)
    except Wanted as wanted:
        count = wanted.count
    for _ in range(TRIES):
        with turn(study_id) as in_time:
            if not in_time:
                break
            try:
                return work(suggest(engine, study_id, count))
            except Wanted as wanted:
                count = wanted.count
    _log.warning("no model in time: a quasi-random point instead", extra={"study_id": study_id})
    return work(QuasiRandom())


def draw(study: Study, *, index: int, count: int, ready: Ready | None) -> list[Configuration]:
    """The next configurations; the study's row is locked. Raises Wanted where they must be worked out
    first."""
    chosen: Sampler = sampler(study.sampler, study.sampler_options)
    if not chosen.learns:
        return chosen.suggest(study.space, seed=study.seed, index=index, count=count)
    if isinstance(ready, QuasiRandom):
        return Halton().suggest(study.space, seed=study.seed, index=index, count=count)
    fits = ready is not None and (ready.index, ready.space_version) == (index, study.space_version)
    if ready is None or not fits or len(ready.configurations) < count:
        raise Wanted(count)
    return list(ready.configurations[:count])


def suggest(engine: Engine, study_id: int, count: int) -> Ready:
    """From the history as it stands."""
    with transaction(engine) as connection:
        study = studies.get(connection, study_id)
        if study is None:
            raise NotFound(f"there is no study {study_id}")
        index = studies.counters(connection, study_id).next_sample_index
    history = recorded(trial_columns.read(engine, study).columns, study.space, study.objective)
    chosen = sampler(study.sampler, study.sampler_options)
    try:
        found = chosen.suggest(study.space, seed=study.seed, index=index, count=count, history=history)
    except Exception:  # no history may keep a study from going on
        _log.exception("a model failed: a quasi-random point instead", extra={"study_id": study_id})
        return QuasiRandom()
    return Suggestions(index, study.space_version, tuple(found))


@contextmanager
def turn(study_id: int) -> Iterator[bool]:
    """One model of a study at a time in a process: the next one counts what this one suggested as pending."""
    lock = _TURNS[study_id % len(_TURNS)]
    in_time = lock.acquire(timeout=TURN_SECONDS)
    try:
        yield in_time
    finally:
        if in_time:
            lock.release()


_TURNS = tuple(threading.Lock() for _ in range(64))
