"""What a sampler that learns suggests next, worked out while nothing is locked.

A use case that needs new configurations first runs without; where its sampler learns it is told to come
again with suggestions. Those are made from the history as it stands, and hold only as long as nobody else
took their places.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TypeVar

from threadpoolctl import threadpool_limits

from tunebook_server.domain.errors import NotFound
from tunebook_server.domain.samplers import sampler
from tunebook_server.domain.samplers.halton import Halton
from tunebook_server.domain.samplers.sampler import Sampler
from tunebook_server.domain.study import Study
from tunebook_server.domain.trial import Configuration
from tunebook_server.services import histories
from tunebook_server.storage import studies
from tunebook_server.storage.engine import Engine, transaction

TURN_SECONDS = 1.0
"""How long one request waits for another's model of the same study; then it takes a quasi-random point."""
MODEL_SECONDS = 2.0
"""And for its own."""
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
        return suggested(engine, study_id, wanted.count, work)


def suggested(engine: Engine, study_id: int, count: int, work: Callable[[Ready | None], T]) -> T:
    """The same, where it is known that so many are wanted."""
    for _ in range(TRIES):
        with in_turn(study_id, partial(suggest, engine, study_id, count)) as ready:
            if ready is None:
                break
            try:
                return work(ready)
            except Wanted as wanted:
                count = wanted.count
    _log.warning("no model in time: a quasi-random point instead", extra={"study_id": study_id})
    return work(QuasiRandom())


def draw(study: Study, *, index: int, count: int, ready: Ready | None) -> tuple[list[Configuration], str]:
    """The next configurations, and which sampler they are of; the study's row is locked. Raises Wanted where
    they must be worked out first."""
    chosen: Sampler = sampler(study.sampler, study.sampler_options)
    if not chosen.learns:
        return chosen.suggest(study.space, seed=study.seed, index=index, count=count), study.sampler
    if isinstance(ready, QuasiRandom):
        return Halton().suggest(study.space, seed=study.seed, index=index, count=count), "halton"
    fits = ready is not None and (ready.index, ready.space_version) == (index, study.space_version)
    if ready is None or not fits or len(ready.configurations) < count:
        raise Wanted(count)
    return list(ready.configurations[:count]), study.sampler


def suggest(engine: Engine, study_id: int, count: int) -> Ready:
    """From the history as it stands."""
    use_one_core()
    with transaction(engine) as connection:
        # Read before its trials: one that is made in between makes this place one that is taken.
        study = studies.get(connection, study_id)
        if study is None:
            raise NotFound(f"there is no study {study_id}")
    index = study.next_sample_index
    chosen = sampler(study.sampler, study.sampler_options)
    try:
        history = histories.of(engine, study, chosen)
        points = chosen.suggest(study.space, seed=study.seed, index=index, count=count, history=history)
    except Exception:  # no history may keep a study from going on
        _log.exception("a model failed: a quasi-random point instead", extra={"study_id": study_id})
        return QuasiRandom()
    return Suggestions(index, study.space_version, tuple(points))


@lru_cache(maxsize=1)
def use_one_core() -> None:
    """Matrices of a few hundred rows gain nothing from more, and lose much: BLAS threads that wait for one
    another spin, while other requests want the cores."""
    threadpool_limits(1, user_api="blas")


@contextmanager
def in_turn(study_id: int, model: Callable[[], Ready]) -> Iterator[Ready | None]:
    """What the model says; None where it has no turn, or no answer, in time.

    One model of a study at a time in a process: the next one counts what this one suggested as pending. One
    that is late keeps its turn until it is done, so that late ones do not pile up.
    """
    turn = turn_of(study_id)
    if not turn.acquire(timeout=TURN_SECONDS):
        yield None
        return
    made = _MODELS.submit(model)
    try:
        ready = made.result(timeout=MODEL_SECONDS)
    except TimeoutError:
        made.add_done_callback(lambda _: turn.release())
        yield None
        return
    except BaseException:
        turn.release()
        raise
    try:
        yield ready
    finally:
        turn.release()


def turn_of(study_id: int) -> threading.Lock:
    return _TURNS[study_id % len(_TURNS)]


_MODELS = ThreadPoolExecutor(16, thread_name_prefix="model")
_TURNS = tuple(threading.Lock() for _ in range(64))
