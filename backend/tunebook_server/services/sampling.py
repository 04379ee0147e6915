"""New trials out of the sampler, some ahead of the workers."""

from collections.abc import Sequence

from tunebook_server.domain.errors import NotFound
from tunebook_server.domain.lifecycle import trial_seed
from tunebook_server.domain.samplers import sampler
from tunebook_server.domain.study import Study
from tunebook_server.domain.trial import Configuration, Trial
from tunebook_server.services.suggesting import Ready, draw, with_suggestions
from tunebook_server.settings import settings
from tunebook_server.storage import begun, studies, trials
from tunebook_server.storage.begun import Holder
from tunebook_server.storage.engine import Connection, Engine, transaction
from tunebook_server.storage.trials import Made

BATCH = 256
STUDIES_A_TIME = 1000


def fill(engine: Engine, *, study_id: int) -> list[int]:
    """Queues what the study lacks, finishes it when nothing is left, returns the trials that need a hint."""
    return with_suggestions(engine, study_id, lambda ready: _fill(engine, study_id, ready))


def _fill(engine: Engine, study_id: int, ready: Ready | None) -> list[int]:
    with transaction(engine) as connection:
        study = studies.lock(connection, study_id)
        if study is None:
            raise NotFound(f"there is no study {study_id}")
        if study.state != "running":
            return []
        made = create(connection, study, _lacking(study), ready) if study.job_template_id is not None else []
        if not made and is_over(study):
            studies.finish(connection, study_id)
            studies.bump(connection, study_id)
        return _hints(connection, study_id)


def fill_all(engine: Engine) -> list[int]:
    """`fill` for every running study that may need it, one transaction each."""
    hints: list[int] = []
    last, found = 0, [0]
    while found:
        with transaction(engine) as connection:
            found = studies.to_fill(
                connection, after=last, ahead=settings().sample_ahead, limit=STUDIES_A_TIME
            )
        for study_id in found:
            hints += fill(engine, study_id=study_id)
        last = found[-1] if found else last
    return hints


def create(connection: Connection, study: Study, count: int, ready: Ready | None) -> list[Trial]:
    """Up to `count` queued trials, fewer at the end of budget or sampler. The study's row is locked. Raises
    Wanted, see `with_suggestions`."""
    configurations, drawn_by = _next(study, count, ready)
    return add(connection, study, configurations, drawn_by=drawn_by)


def begin(
    connection: Connection, study: Study, holders: Sequence[Holder], ready: Ready | None
) -> list[Trial]:
    """As `create`, but running, one for each of these loops."""
    configurations, drawn_by = _next(study, len(holders), ready)
    if not configurations:
        return []
    return begun.add(
        connection,
        study_id=study.id,
        space_version=study.space_version,
        rows=_allocated(connection, study, configurations, drawn_by),
        holders=holders,
        lease_seconds=settings().lease_seconds,
        parameters=study.scheduling().copies,
    )


def add(
    connection: Connection, study: Study, configurations: Sequence[Configuration], *, drawn_by: str = ""
) -> list[Trial]:
    """Queued trials with these configurations, under the next numbers. The study's row is locked.

    `drawn_by`: the sampler that they are of; empty for a person's.
    """
    if not configurations:
        return []
    rows = _allocated(connection, study, configurations, drawn_by)
    return trials.add(connection, study_id=study.id, space_version=study.space_version, rows=rows)


def _next(study: Study, count: int, ready: Ready | None) -> tuple[list[Configuration], str]:
    count = min(count, study.budget - study.next_number)
    return draw(study, index=study.next_sample_index, count=count, ready=ready) if count > 0 else ([], "")


def _allocated(
    connection: Connection, study: Study, configurations: Sequence[Configuration], drawn_by: str
) -> list[Made]:
    """Under the next numbers, which are theirs from here on."""
    count, scheduler = len(configurations), study.scheduling()
    studies.allocate(connection, study.id, numbers=count, samples=count if drawn_by else 0)
    return [
        Made(
            number=study.next_number + place,
            sample_index=study.next_sample_index + place if drawn_by else None,
            drawn_by=drawn_by,
            parameters=dict(configuration),
            seed=trial_seed(study.seed, study.next_number + place),
            decide_at=scheduler.next_rung(scheduler.bracket(study.next_number + place), None),
        )
        for place, configuration in enumerate(configurations)
    ]


def is_over(study: Study) -> bool:
    """Nothing is open, and nothing more will come."""
    if _open(study):
        return False
    size = sampler(study.sampler, study.sampler_options).size(study.space)
    return study.next_number >= study.budget or (size is not None and study.next_sample_index >= size)


def _lacking(study: Study) -> int:
    """A sampler that learns is asked as late as possible: each result makes the next suggestion better. A
    population is made at once: its members take turns."""
    if study.scheduling().copies:
        return min(study.budget, BATCH)
    ahead = 0 if sampler(study.sampler, study.sampler_options).learns else settings().sample_ahead
    return min(study.parallel + ahead - _open(study), BATCH)


def _open(study: Study) -> int:
    return sum(study.counts[state] for state in ("queued", "claimed", "running"))


def _hints(connection: Connection, study_id: int) -> list[int]:
    again = settings().hint_again_seconds
    return trials.stamp_hints(connection, study_id=study_id, again_seconds=again, limit=BATCH)
