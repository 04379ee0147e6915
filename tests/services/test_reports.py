"""A report is bounded by the characters of its figures, and says how many it leaves out."""

import pytest
from sqlalchemy import Engine

from tests.services.making import ACTOR, make_study
from tunebook_server.services import reports, rounds, studies


def test_figures_that_have_no_room_are_counted(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    study = make_study(engine)
    made = rounds.create(engine, project_id=study.project_id, name="round", actor=ACTOR)
    studies.edit(engine, study_id=study.id, changes={"round": "round"}, actor=ACTOR)
    (whole,) = reports.of_study(engine, study_id=study.id).chapters
    sizes = [len(picture.document) for picture in whole.pictures]
    assert whole.left_out == 0
    monkeypatch.setattr(reports, "CHARACTERS_MOST", sum(sizes) - 1)
    for report in (reports.of_study(engine, study_id=study.id), reports.of_round(engine, round_id=made.id)):
        (chapter,) = report.chapters
        assert sum(len(picture.document) for picture in chapter.pictures) < sum(sizes)
        assert (len(chapter.pictures), chapter.left_out) == (len(sizes) - 1, 1)
