"""The study that follows a study: its design with changes, under a name and with a seed of its own."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from tunebook_server.domain.changes import Change
from tunebook_server.domain.changes_applied import applied
from tunebook_server.domain.study import StudyDesign
from tunebook_server.domain.study_limits import NAME_LONGEST, SEED_HIGHEST

_NUMBERED = re.compile(r"(.*), follow-up ([0-9]{1,9})", re.DOTALL)
_SUFFIX_LONGEST = len(", follow-up 1000000000")


def family(name: str) -> str:
    """What the names of a study and of all its follow-ups begin with."""
    numbered = _NUMBERED.fullmatch(name)
    return (numbered[1] if numbered else name)[: NAME_LONGEST - _SUFFIX_LONGEST]


def follow_up(
    design: StudyDesign,
    changes: Sequence[Change],
    *,
    parent_id: int,
    relatives: Iterable[tuple[str, int]] = (),
) -> StudyDesign:
    """`relatives`: (name, seed) of the studies whose names begin with the `family`. The seed is above all of
    theirs, because the same one would try the same points again. Raises Invalid as `applied` does."""
    start = family(design.name)
    of_family = [(name, seed) for name, seed in relatives if family(name) == start]
    numbered = [_NUMBERED.fullmatch(name) for name, _ in of_family]
    number = 1 + max((int(each[2]) for each in numbered if each), default=0)
    seed = 1 + max([design.seed, *(seed for _, seed in of_family)])
    return replace(
        applied(design, changes),
        name=f"{start}, follow-up {number}",
        note="",
        seed=seed if seed <= SEED_HIGHEST else 0,
        parents=(parent_id,),
    )
