"""Studies that follow studies: remembered with what they changed, drafted under free names."""

from dataclasses import replace

import pytest
from sqlalchemy import Engine, text

from tests.services.making import ACTOR, make_study
from tunebook_server.domain.changes import Fix, Range, Trials
from tunebook_server.domain.errors import Invalid, NotFound
from tunebook_server.domain.study import Study, StudyDesign
from tunebook_server.services import follow_ups, lineage, studies


def create(engine: Engine, study: Study, design: StudyDesign) -> Study:
    return studies.create(engine, project_id=study.project_id, design=design, actor=ACTOR)


def test_a_follow_up_remembers_its_parents_and_what_it_changed(engine: Engine) -> None:
    first = make_study(engine)
    drafted = follow_ups.draft(
        engine, study_id=first.id, changes=[Range("learning_rate", 1e-4, 10), Trials(30)]
    )
    assert [row.words for row in drafted.difference] == [
        "learning_rate 1e-4 … 1 → 1e-4 … 10",
        "sampler.seed 0 → 1",
        "budget.trials 20 → 30",
    ]
    assert drafted.design.template == "train"
    second = create(engine, first, drafted.design)
    assert studies.get(engine, study_id=first.id).revision > first.revision  # its page names the follower
    assert (second.name, second.seed, second.parents) == ("study, follow-up 1", 1, (first.id,))

    third_design = follow_ups.draft(engine, study_id=second.id, changes=[Fix("optimizer", "adam")]).design
    assert (third_design.name, third_design.seed) == ("study, follow-up 2", 2)
    third = create(engine, first, replace(third_design, parents=(second.id, first.id)))
    assert third.parents == (second.id, first.id)
    assert studies.page(engine, project_id=first.project_id).items[0].parents == third.parents

    found = lineage.followed(engine, study_ids=[first.id, second.id, third.id])
    assert [[kin.id for kin in found[study.id]] for study in (first, second, third)] == [
        [],
        [first.id],
        [second.id, first.id],
    ]
    assert found[second.id][0].changes == drafted.difference
    against_first = {row.field: row.after for row in found[third.id][1].changes}
    assert (against_first["optimizer"], against_first["learning_rate"]) == ("adam", "1e-4 … 10")
    assert [kin.id for kin in lineage.followers(engine, study_id=first.id)] == [third.id, second.id]


def test_what_it_changed_stays_when_the_parent_is_edited(engine: Engine) -> None:
    first = make_study(engine)
    second = create(engine, first, follow_ups.draft(engine, study_id=first.id, changes=[Trials(30)]).design)
    studies.edit(engine, study_id=first.id, changes={"budget": 30}, actor=ACTOR)
    (kin,) = lineage.followed(engine, study_ids=[second.id])[second.id]
    assert "budget.trials 20 → 30" in [row.words for row in kin.changes]


def test_parents_must_be_studies_of_the_project(engine: Engine) -> None:
    first, stranger = make_study(engine), make_study(engine)
    design = follow_ups.draft(engine, study_id=first.id, changes=[]).design
    for parents, field in (((stranger.id,), "parents.0"), ((first.id, 2**62), "parents.1")):
        with pytest.raises(Invalid) as raised:
            create(engine, first, replace(design, parents=parents))
        assert raised.value.field == field
    assert [study.id for study in studies.page(engine, project_id=first.project_id).items] == [first.id]
    with pytest.raises(NotFound):
        follow_ups.draft(engine, study_id=2**62, changes=[])


def test_a_follow_up_outlives_its_parent(engine: Engine) -> None:
    first = make_study(engine)
    second = create(engine, first, follow_ups.draft(engine, study_id=first.id, changes=[]).design)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM studies WHERE id = :id"), {"id": first.id})
    assert studies.get(engine, study_id=second.id).parents == ()
