"""Several studies read for a comparison: their designs, and their trials as kept columns."""

from collections.abc import Sequence
from dataclasses import dataclass

from tunebook_server.domain.comparison import Side, ToldApart, told_apart
from tunebook_server.domain.errors import Invalid, NotFound
from tunebook_server.domain.objective import Objective
from tunebook_server.domain.study import Study
from tunebook_server.services import lineage, trial_columns
from tunebook_server.services.trial_columns import Snapshot
from tunebook_server.storage import studies
from tunebook_server.storage.engine import Engine, transaction

STUDIES_MOST = 12


@dataclass(frozen=True, slots=True)
class Compared:
    """Sequences of one length, in the order asked for."""

    studies: Sequence[Study]
    snapshots: Sequence[Snapshot]
    sides: Sequence[Side]
    told: ToldApart

    @property
    def version(self) -> str:
        """Changes exactly when a trial's state, objective or value does, in any of them."""
        pairs = zip(self.studies, self.snapshots, strict=True)
        return "-".join(f"{study.id}.{study.space_version}.{kept.version}" for study, kept in pairs)

    @property
    def comparable(self) -> bool:
        """Whether values of one study can be held against those of another."""
        return (
            len({(side.design.objective.metric, side.design.objective.direction) for side in self.sides}) == 1
        )

    def objective(self) -> Objective:
        """The one that all of them have. Raises Invalid where they have several."""
        if not self.comparable:
            raise Invalid(
                "these studies measure different things, so their values do not compare",
                field="studies",
                remedy="Name studies of one metric and direction.",
            )
        return self.sides[0].design.objective


def read(engine: Engine, *, study_ids: Sequence[int], by: str = "") -> Compared:
    """Two to twelve different studies. Raises NotFound for one that is not there, Invalid for another number
    of them, or a `by` that does not tell them apart."""
    if not 2 <= len(study_ids) <= STUDIES_MOST:
        raise Invalid(
            f"{len(study_ids)} to compare",
            field="studies",
            remedy=f"Name 2 to {STUDIES_MOST} different studies.",
        )
    with transaction(engine) as connection:
        found = studies.many(connection, study_ids)
        for study_id in study_ids:
            if study_id not in found:
                raise NotFound(f"there is no study {study_id}", field="studies")
        designs = {study_id: lineage.design_of(connection, study) for study_id, study in found.items()}
    ordered = [found[study_id] for study_id in study_ids]
    snapshots = [trial_columns.read(engine, study) for study in ordered]
    sides = [
        Side(
            study.id,
            designs[study.id],
            feasible=int(kept.columns.feasible.sum()),
            infeasible=int(kept.columns.infeasible.sum()),
        )
        for study, kept in zip(ordered, snapshots, strict=True)
    ]
    return Compared(ordered, snapshots, sides, told_apart(sides, by))
