"""Studies: made from a design, edited, followed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tunebook_server.domain import paging, retention
from tunebook_server.domain.document import show
from tunebook_server.domain.edition import refuse_stale
from tunebook_server.domain.errors import Conflict, Invalid, NotFound, Stale
from tunebook_server.domain.findings import thresholds
from tunebook_server.domain.lifecycle import STUDY_FINISHED, Ending, Outcome
from tunebook_server.domain.paging import Page
from tunebook_server.domain.samplers import sampler
from tunebook_server.domain.samplers.learner import quasi_random_first
from tunebook_server.domain.search_space import SearchSpace
from tunebook_server.domain.space_change import check_change
from tunebook_server.domain.study import Study, StudyDesign
from tunebook_server.domain.study_limits import ID_HIGHEST, PARALLEL_MOST, PRIORITY_MOST, TRIALS_MOST
from tunebook_server.domain.texts import long_text, name_text, weight, whole_number
from tunebook_server.domain.trial import Configuration, Trial, TrialState
from tunebook_server.services import histories, lineage, rounds
from tunebook_server.storage import audit, checkpoints, projects, studies, templates, trials
from tunebook_server.storage.engine import Connection, Engine, transaction

EDITABLE = (
    *("goal", "note", "conclusion", "state", "budget", "parallel", "priority", "weight"),
    *("checks", "checkpoints", "round", "space"),
)
STATES = ("running", "paused", "finished")
CHANGED_MOST = 10_000


@dataclass(frozen=True, slots=True)
class Progress:
    """`counts`: trials by state; `best` is None before the first finite objective."""

    counts: Mapping[str, int]
    budget: int
    best: Trial | None


def create(engine: Engine, *, project_id: int, design: StudyDesign, actor: str) -> Study:
    """A running study. Raises Invalid when the project has no job template of the design's name, not its
    round, or not all of its parents."""
    with transaction(engine) as connection:
        if projects.get(connection, project_id) is None:
            raise NotFound(f"there is no project {project_id}")
        histories.check_warm_start(connection, project_id, design)
        study_id = studies.add(
            connection,
            project_id=project_id,
            design=design,
            job_template_id=_template_id(connection, project_id, design.template),
            round_id=rounds.named(connection, project_id, design.round),
            created_by=actor,
        )
        audit.write(connection, actor=actor, action="study.create", target=f"study:{study_id}")
        lineage.remember(connection, study_id, project_id=project_id, design=design)
        return known(connection, study_id)


def get(engine: Engine, *, study_id: int) -> Study:
    with transaction(engine) as connection:
        return known(connection, study_id)


def known(connection: Connection, study_id: int) -> Study:
    study = studies.get(connection, study_id)
    if study is None:
        raise NotFound(f"there is no study {study_id}")
    return study


def page(
    engine: Engine,
    *,
    project_id: int | None = None,
    name: str | None = None,
    state: str | None = None,
    round_id: int | None = None,
    without_round: bool = False,
    limit: int = 100,
    cursor: str | None = None,
) -> Page[Study]:
    """The newest first."""
    paging.page_size(limit)
    if state is not None and state not in STATES:
        raise Invalid(f"state is {show(state)}", field="state", remedy=f"Use {' or '.join(STATES)}.")
    if name is not None:
        name_text(name, field="name")
    position = None if cursor is None else int(paging.decode(cursor, int)[0] or 0)
    with transaction(engine) as connection:
        found = studies.before(
            connection,
            project_id=project_id,
            name=name,
            state=state,
            round_id=round_id,
            without_round=without_round,
            study_id=position,
            limit=limit + 1,
        )
    return paging.cut(found, limit, lambda last: (last.id,))


def count_of_round(engine: Engine, *, round_id: int) -> int:
    with transaction(engine) as connection:
        return studies.count_of_round(connection, round_id)


def of_rounds(engine: Engine, *, round_ids: Sequence[int], each: int) -> dict[int, list[Study]]:
    """By round its newest `each` studies, the newest first."""
    with transaction(engine) as connection:
        found = studies.of_rounds(connection, round_ids, each)
    return {round_id: [study for study in found if study.round_id == round_id] for round_id in round_ids}


def edit(
    engine: Engine,
    *,
    study_id: int,
    revision: int | None = None,
    edition: str | None = None,
    changes: Mapping[str, object],
    actor: str,
) -> Study:
    """Changes texts, state, budget, turn, checks, checkpoints, round or the ranges of its space, in which new
    trials are drawn from then on; raises Stale when the study is no
    longer at `revision` (which every report of a trial raises), or people have written into it since
    `edition`.

    A study finished by hand lets running trials end and stops the queued ones.
    """
    new = _checked(changes)
    with transaction(engine) as connection:
        study = studies.lock(connection, study_id)
        if study is None:
            raise NotFound(f"there is no study {study_id}")
        if revision is not None and revision != study.revision:
            raise Stale(f"the study is at revision {study.revision}, not {revision}", remedy="Read it again.")
        refuse_stale(edition, study.edition, what="study")
        if not new:
            return study
        _refuse_small_budget(study, new)
        if "round" in new:
            new["round_id"] = rounds.named(connection, study.project_id, new.pop("round"))
        if "space" in new:
            _change_space(connection, study, new.pop("space"))
        if new.get("state", study.state) != study.state:
            _change_state(connection, study, str(new.pop("state")))
        if new:
            studies.change(connection, study_id, new)
        if "checkpoints" in new:
            checkpoints.reopen(connection, study_id)
        detail = {"fields": sorted(changes)}
        audit.write(connection, actor=actor, action="study.edit", target=f"study:{study_id}", detail=detail)
        studies.bump(connection, study_id)
        return known(connection, study_id)


def progress(engine: Engine, *, study_id: int) -> Progress:
    with transaction(engine) as connection:
        study = known(connection, study_id)
        best = None if study.best_trial_id is None else trials.get(connection, study.best_trial_id)
    return Progress(study.counts, study.budget, best)


def changed_since(engine: Engine, *, since: datetime) -> list[tuple[int, int]]:
    """(study, revision) of what changed after `since`, oldest first, 10,000 at most.

    A transaction may become visible some milliseconds after the time it wrote down: ask with overlap.
    """
    with transaction(engine) as connection:
        return studies.changed_since(connection, since, CHANGED_MOST)


def preview(design: StudyDesign, count: int = 100) -> list[Configuration]:
    """The first configurations that the study would try, as far as no result decides about them."""
    whole_number(count, field="count", low=1, high=1000)
    drawing, count = design.drawing(), min(count, design.budget)
    if drawing.learns:
        count = min(count, quasi_random_first(design.space))
    return drawing.suggest(design.space, seed=design.seed, index=0, count=count)


def _template_id(connection: Connection, project_id: int, name: str | None) -> int | None:
    if name is None:
        return None
    template = templates.newest(connection, project_id, name)
    if template is None:
        remedy = "Register it first, or leave the job out and ask for trials in a loop."
        raise Invalid(f"the project has no job template {show(name)}", field="job.template", remedy=remedy)
    return template.id


def _checked(changes: Mapping[str, object]) -> dict[str, Any]:
    new: dict[str, Any] = dict(changes)
    for field, value in changes.items():
        if field not in EDITABLE:
            raise Invalid(
                f"{show(field)} cannot be changed", field=field, remedy=f"Change {', '.join(EDITABLE)}."
            )
        if field in ("goal", "note", "conclusion"):
            long_text(value, field=field)
        elif field == "state" and value not in STATES:
            raise Invalid(f"state is {show(value)}", field="state", remedy=f"Use {' or '.join(STATES)}.")
        elif field == "checks":
            new["checks"] = thresholds.parse(value)
        elif field == "checkpoints":
            new["checkpoints"] = retention.parse(value).document()
        elif field in ("budget", "parallel"):
            whole_number(value, field=field, low=1, high=TRIALS_MOST if field == "budget" else PARALLEL_MOST)
        elif field == "priority":
            whole_number(value, field=field, low=-PRIORITY_MOST, high=PRIORITY_MOST)
        elif field == "weight":
            new["weight"] = weight(value, field=field)
        elif field == "round":
            _check_round(value)
        elif field == "space":
            new["space"] = SearchSpace.parse(value)
    return new


def _check_round(value: object) -> None:
    """An id, a name, or None for out of its round."""
    if isinstance(value, str):
        name_text(value, field="round")
    elif value is not None:
        whole_number(value, field="round", low=1, high=ID_HIGHEST)


def _refuse_small_budget(study: Study, changes: Mapping[str, Any]) -> None:
    made = study.next_number
    if changes.get("budget", made) < made:
        raise Conflict(
            f"the study has {made} trials already", field="budget", remedy=f"Give at least {made}."
        )


def _change_space(connection: Connection, study: Study, space: SearchSpace) -> None:
    """What was tried keeps its values, what is queued is tried with those that it has."""
    check_change(study.space, space)
    sampler(study.sampler, study.sampler_options).check(space)
    if space != study.space:
        studies.add_space(connection, study.id, study.space_version + 1, space)


def _change_state(connection: Connection, study: Study, state: str) -> None:
    if state != "finished":
        studies.change(connection, study.id, {"state": state, "finished_at": None})
        return
    # Locked after the study, without waiting: whoever holds a queued trial is taking it, and it may run.
    for trial_id in trials.take_queued(connection, study.id, study.counts["queued"]):
        queued = trials.get(connection, trial_id)
        assert queued is not None
        trials.end(connection, queued, Ending(TrialState.STOPPED, Outcome.STOPPED, True, STUDY_FINISHED))
    studies.finish(connection, study.id)
