"""Everything that a study or a round says, bounded in size, for a report to keep and to send."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tunebook_server.domain.caveats import Caveat, caveats
from tunebook_server.domain.project import Project
from tunebook_server.domain.round import Round
from tunebook_server.domain.study import Study
from tunebook_server.domain.trial import Trial, Value
from tunebook_server.figures.labels import key_words
from tunebook_server.services import conclusions, figures, findings, projects, rounds, studies, trials
from tunebook_server.storage.engine import Engine
from tunebook_server.storage.findings import Kept

AXES_MOST = 24
ISOLATIONS_MOST = 8
STUDIES_MOST = 12
"""Of a round, the newest: with what follows, some hundred figures, which a browser draws in seconds."""
AXES_OF_EACH = 4
ISOLATIONS_OF_EACH = 2
CHARACTERS_MOST = 30_000_000
"""Of all figures of a report, as Plotly JSON."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure of a study; `document`: its Plotly JSON. `name` is free of anything but ASCII letters, digits
    and hyphens."""

    name: str
    title: str
    study_id: int
    kind: str
    options: Mapping[str, str]
    document: str

    @property
    def file(self) -> str:
        """As which it stands beside a text."""
        return f"{self.name}.png"

    @property
    def notes(self) -> Sequence[str]:
        notes: list[str] = json.loads(self.document)["layout"]["meta"]["notes"]
        return notes


@dataclass(frozen=True, slots=True)
class Chapter:
    """One study; `settings`: of its best trial by key; `left_out`: figures that only its page has."""

    study: Study
    best: Trial | None
    settings: Mapping[str, Value]
    kept: Kept | None
    caveats: Sequence[Caveat]
    pictures: Sequence[Picture]
    left_out: int


@dataclass(frozen=True, slots=True)
class Report:
    """`round`, `caveats` (of all of its studies) and `left_out` (studies) are for a report of a round."""

    project: Project
    chapters: Sequence[Chapter]
    round: Round | None = None
    caveats: Sequence[Caveat] = ()
    left_out: int = 0


def of_study(engine: Engine, *, study_id: int) -> Report:
    study = studies.get(engine, study_id=study_id)
    kept = findings.get(engine, study_id=study_id)
    room = _Room(CHARACTERS_MOST)
    chapter = _chapter(engine, study, kept, room, axes=AXES_MOST, isolations=ISOLATIONS_MOST)
    return Report(projects.get(engine, project_id=study.project_id), [chapter])


def of_round(engine: Engine, *, round_id: int) -> Report:
    """Its newest studies in the order they were made, each with the main of its figures."""
    found = rounds.get(engine, round_id=round_id)
    grounds = conclusions.of_round(engine, round_id=round_id)
    room = _Room(CHARACTERS_MOST)
    chapters = [
        _chapter(
            engine, study, grounds.kept.get(study.id), room, axes=AXES_OF_EACH, isolations=ISOLATIONS_OF_EACH
        )
        for study in grounds.studies[-STUDIES_MOST:]
    ]
    return Report(
        projects.get(engine, project_id=found.project_id),
        chapters,
        found,
        grounds.caveats,
        left_out=grounds.count - len(chapters),
    )


class _Room:
    """What is left of the characters of a report."""

    def __init__(self, characters: int) -> None:
        self._left = characters

    def takes(self, document: str) -> bool:
        if len(document) > self._left:
            return False
        self._left -= len(document)
        return True


def _chapter(
    engine: Engine, study: Study, kept: Kept | None, room: _Room, *, axes: int, isolations: int
) -> Chapter:
    best = None if study.best_trial_id is None else trials.get(engine, trial_id=study.best_trial_id)
    wanted = list(_wanted(study, axes, isolations))
    pictures = []
    for place, (title, kind, options) in enumerate(wanted, start=1):
        document = figures.figure(engine, study_id=study.id, kind=kind, options=options)
        if room.takes(document):
            name = f"study-{study.id}-{place:02d}-{kind}"
            pictures.append(Picture(name, title, study.id, kind, options, document))
    return Chapter(
        study=study,
        best=best,
        settings=study.space.locate(best.parameters) if best else {},
        kept=kept,
        caveats=caveats(study.space, kept.items if kept else ()),
        pictures=pictures,
        left_out=len(list(_wanted(study, len(study.space.varied), len(study.space.varied)))) - len(pictures),
    )


def _wanted(study: Study, axes: int, isolations: int) -> Iterator[tuple[str, str, Mapping[str, str]]]:
    """Title, kind and options of each figure."""
    keys = [study.space.key(parameter) for parameter in study.space.varied]
    scientific = [key for key in keys if study.space.parameter(key).role == "scientific"]
    for key in keys[:axes]:
        name, conditions = key_words(key)
        title = f"{name} ({', '.join(conditions)})" if conditions else name
        yield title, "axis", {"parameter": key}
    for key in scientific[:isolations]:
        yield f"Best of each {key_words(key)[0]}", "isolation", {"parameter": key}
    yield "Best of k trials", "best-of-k", {}
    yield "Training curves of the best", "curves", {"smooth": "8"}
    yield "Optimisation history", "history", {}
