"""What a conclusion of a round holds for, from all of its studies."""

from collections.abc import Sequence
from dataclasses import dataclass

from tunebook_server.domain.caveats import Caveat, caveats, together
from tunebook_server.domain.study import Study
from tunebook_server.services import findings, studies
from tunebook_server.storage.engine import Engine
from tunebook_server.storage.findings import Kept

STUDIES_MOST = 200


@dataclass(frozen=True, slots=True)
class Grounds:
    """`count`: of all studies of the round; no more than the newest 200 are looked at."""

    caveats: Sequence[Caveat]
    studies: Sequence[Study]
    kept: dict[int, Kept]
    count: int


def of_round(engine: Engine, *, round_id: int) -> Grounds:
    """Its studies in the order they were made, their findings, and the caveats of all together."""
    count = studies.count_of_round(engine, round_id=round_id)
    found = studies.page(engine, round_id=round_id, limit=STUDIES_MOST).items[::-1]
    kept = findings.many(engine, study_ids=[study.id for study in found])
    held = {
        study.id: caveats(study.space, kept[study.id].items if study.id in kept else ()) for study in found
    }
    return Grounds(together(held), found, kept, count)
