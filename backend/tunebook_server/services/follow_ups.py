"""Follow-ups: the next study drafted from a study and changes to it. Nothing is stored."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tunebook_server.domain.changes import Change
from tunebook_server.domain.difference import Difference, difference
from tunebook_server.domain.follow_up import family, follow_up
from tunebook_server.domain.study import Study, StudyDesign
from tunebook_server.domain.study_limits import NAME_LONGEST
from tunebook_server.services.lineage import design_of
from tunebook_server.services.studies import known
from tunebook_server.storage import studies
from tunebook_server.storage.engine import Engine, transaction

AGAIN = " again"


@dataclass(frozen=True, slots=True)
class FollowUp:
    parent: Study
    design: StudyDesign
    difference: Sequence[Difference]


def draft(engine: Engine, *, study_id: int, changes: Sequence[Change]) -> FollowUp:
    """Under a name and with a seed that no study of the family has. Raises Invalid for a change that cannot
    be applied."""
    with transaction(engine) as connection:
        parent = known(connection, study_id)
        before = design_of(connection, parent)
        relatives = studies.named(connection, parent.project_id, family(before.name))
    design = follow_up(before, changes, parent_id=study_id, relatives=relatives)
    return FollowUp(parent, design, difference(before, design))


def again(engine: Engine, *, study_id: int) -> StudyDesign:
    """The study's own design, to look at or to repeat: the same parents, seed and points."""
    with transaction(engine) as connection:
        design = design_of(connection, known(connection, study_id))
    return replace(design, name=design.name[: NAME_LONGEST - len(AGAIN)] + AGAIN)
