"""Which studies follow which: checked and kept when a study is made, read for its pages."""

from collections.abc import Sequence
from dataclasses import dataclass

from tunebook_server.domain.difference import Difference, difference
from tunebook_server.domain.document import refuse
from tunebook_server.domain.errors import Fault
from tunebook_server.domain.study import Study, StudyDesign
from tunebook_server.storage import studies, study_parents, templates
from tunebook_server.storage.engine import Connection, Engine, transaction
from tunebook_server.storage.study_parents import Kin

__all__ = ["Comparison", "Kin", "compare", "design_of", "followed", "followers", "remember"]

FOLLOWERS_MOST = 20


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a design does differently from a study that it follows."""

    parent: Study
    rows: Sequence[Difference]


def compare(engine: Engine, *, project_id: int, design: StudyDesign) -> list[Comparison]:
    """One for each of the design's parents. Raises Invalid for those that are not in the project."""
    with transaction(engine) as connection:
        return _compared(connection, project_id, design)


def followed(engine: Engine, *, study_ids: Sequence[int]) -> dict[int, list[Kin]]:
    """By study those that it follows."""
    with transaction(engine) as connection:
        return study_parents.of_studies(connection, study_ids)


def followers(engine: Engine, *, study_id: int) -> list[Kin]:
    """The newest 20 studies that follow it, the newest first."""
    with transaction(engine) as connection:
        return study_parents.children(connection, study_id, FOLLOWERS_MOST)


def remember(connection: Connection, study_id: int, *, project_id: int, design: StudyDesign) -> None:
    """In the transaction that makes the study, at its end: the parents' rows are locked, for their pages name
    their followers. Raises Invalid as `compare` does."""
    compared = _compared(connection, project_id, design)
    study_parents.add(connection, study_id, {each.parent.id: each.rows for each in compared})
    for parent_id in sorted(design.parents):
        studies.bump(connection, parent_id)


def design_of(connection: Connection, study: Study) -> StudyDesign:
    """What the study would be made from today: with its budget and notes as they were edited since."""
    template = None
    if study.job_template_id is not None:
        known = templates.get(connection, study.job_template_id)
        template = None if known is None else known.name
    return StudyDesign(
        name=study.name,
        goal=study.goal,
        note=study.note,
        objective=study.objective,
        space=study.space,
        sampler=study.sampler,
        sampler_options=study.sampler_options,
        seed=study.seed,
        budget=study.budget,
        parallel=study.parallel,
        max_attempts=study.max_attempts,
        template=template,
        parents=study.parents,
        checks=study.checks,
        round=study.round_id,
        retention=study.retention,
        scheduler=study.scheduler,
        scheduler_options=study.scheduler_options,
        constraints=study.constraints,
    )


def _compared(connection: Connection, project_id: int, design: StudyDesign) -> list[Comparison]:
    if not design.parents:
        return []
    found = studies.many(connection, design.parents)
    refuse(
        [
            Fault(
                f"parents.{place}",
                f"there is no study {parent_id} in this project",
                "Name studies of the same project, or leave it out.",
            )
            for place, parent_id in enumerate(design.parents)
            if parent_id not in found or found[parent_id].project_id != project_id
        ]
    )
    parents = [found[parent_id] for parent_id in design.parents]
    return [Comparison(each, difference(design_of(connection, each), design)) for each in parents]
