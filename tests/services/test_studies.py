"""Projects, job templates, studies and workers: made, edited, paged; what is wrong is refused in words."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Engine, text

from tests.services.making import ACTOR, SPACE, make_study, make_worker
from tunebook_server.domain.errors import Conflict, Invalid, NotFound, Stale
from tunebook_server.domain.objective import Objective
from tunebook_server.domain.paging import Page
from tunebook_server.domain.study import StudyDesign
from tunebook_server.services import checkpoints, projects, sampling, studies, templates, trials, workers
from tunebook_server.storage.engine import transaction


def all_pages(read: Callable[..., Page[Any]], **options: Any) -> list[Any]:
    items: list[Any] = []
    cursor = None
    while True:
        page = read(limit=2, cursor=cursor, **options)
        items += page.items
        cursor = page.next
        if cursor is None:
            return items


def test_a_project_is_made_once(engine: Engine) -> None:
    project = projects.create(engine, name="digits", goal="Read digits.", actor=ACTOR)
    assert projects.find(engine, name="digits") == project == projects.get(engine, project_id=project.id)
    with pytest.raises(Conflict):
        projects.create(engine, name="digits", actor=ACTOR)
    with pytest.raises(NotFound):
        projects.find(engine, name="letters")


@pytest.mark.parametrize("name", ["", "  ", "x" * 201, "a\x00", "a\nb", "\ud800", 7])
def test_a_wrong_name_is_refused(engine: Engine, name: Any) -> None:
    with pytest.raises(Invalid):
        projects.create(engine, name=name, actor=ACTOR)


def test_projects_come_by_name_with_their_studies(engine: Engine) -> None:
    made = [make_study(engine) for _ in range(5)]
    studies.edit(engine, study_id=made[0].id, revision=None, changes={"state": "finished"}, actor=ACTOR)
    found = all_pages(lambda **page: projects.page(engine, **page))
    assert [summary.project.name for summary in found] == sorted(summary.project.name for summary in found)
    by_id = {summary.project.id: summary for summary in found}
    assert (by_id[made[0].project_id].studies, by_id[made[0].project_id].running_studies) == (1, 0)
    assert (by_id[made[1].project_id].studies, by_id[made[1].project_id].running_studies) == (1, 1)


def test_editors_do_not_overwrite_each_other(engine: Engine) -> None:
    project = projects.create(engine, name="digits", actor=ACTOR)
    edited = projects.edit(
        engine, project_id=project.id, revision=project.revision, changes={"note": "first"}, actor=ACTOR
    )
    with pytest.raises(Stale):
        projects.edit(engine, project_id=project.id, revision=1, changes={"note": "second"}, actor=ACTOR)
    assert projects.get(engine, project_id=project.id).note == "first" == edited.note
    study = make_study(engine)
    studies.edit(engine, study_id=study.id, revision=study.revision, changes={"note": "a"}, actor=ACTOR)
    with pytest.raises(Stale):
        studies.edit(engine, study_id=study.id, revision=study.revision, changes={"note": "b"}, actor=ACTOR)
    assert studies.get(engine, study_id=study.id).note == "a"


def test_a_template_gets_a_version_when_it_changes(engine: Engine) -> None:
    project = projects.create(engine, name="digits", actor=ACTOR)

    def register(**changed: Any) -> int:
        content = {"argv": ["python", "a.py"], "folder": "/", "environment": ["HOME"], **changed}
        return templates.register(engine, project_id=project.id, name="mlp", actor=ACTOR, **content).version

    assert [register(), register(), register(folder="/b"), register()] == [1, 1, 2, 3]
    found = all_pages(lambda **page: templates.page(engine, project_id=project.id, **page))
    assert [template.version for template in found] == [1, 2, 3]
    assert templates.get(engine, template_id=found[0].id) == found[0]


@pytest.mark.parametrize(
    "wrong",
    [{"argv": []}, {"argv": "python a.py"}, {"argv": ["a\x00"]}, {"argv": ["a"] * 2000}, {"folder": ""}],
)
def test_a_wrong_template_is_refused(engine: Engine, wrong: dict[str, Any]) -> None:
    project = projects.create(engine, name="digits", actor=ACTOR)
    content = {"argv": ["python"], "folder": "/", **wrong}
    with pytest.raises(Invalid):
        templates.register(engine, project_id=project.id, name="mlp", actor=ACTOR, **content)


def test_a_study_is_its_design(engine: Engine) -> None:
    study = make_study(engine, seed=7, note="n", max_attempts=5)
    assert (study.space, study.objective, study.sampler) == (SPACE, Objective("valid/error"), "halton")
    assert (study.seed, study.note, study.max_attempts, study.created_by) == (7, "n", 5, ACTOR)
    assert study.state == "running"
    assert set(study.counts.values()) == {0}
    assert study == studies.get(engine, study_id=study.id)


def test_a_study_needs_its_template(engine: Engine) -> None:
    project = projects.create(engine, name="digits", actor=ACTOR)
    design = StudyDesign("s", "", Objective("m"), SPACE, budget=1, template="mlp")
    with pytest.raises(Invalid) as refusal:
        studies.create(engine, project_id=project.id, design=design, actor=ACTOR)
    assert refusal.value.field == "job.template"


def test_studies_come_newest_first(engine: Engine) -> None:
    made = [make_study(engine) for _ in range(5)]
    assert [study.id for study in all_pages(lambda **page: studies.page(engine, **page))] == [
        study.id for study in reversed(made)
    ]
    assert studies.page(engine, project_id=made[2].project_id).items == (made[2],)
    assert studies.page(engine, name="no such study").items == ()
    assert studies.page(engine, state="paused").items == ()
    with pytest.raises(Invalid):
        studies.page(engine, state="odd")


def test_a_study_finished_by_hand_stops_what_waits(engine: Engine) -> None:
    study = make_study(engine)
    hinted = sampling.fill(engine, study_id=study.id)
    trials.claim(engine, trial_id=hinted[0], worker_id=make_worker(engine))
    done = studies.edit(engine, study_id=study.id, revision=None, changes={"state": "finished"}, actor=ACTOR)
    assert (done.state, done.counts["queued"], done.counts["stopped"]) == ("finished", 0, 19)
    assert done.finished_at is not None
    assert trials.finish(engine, trial_id=hinted[0], epoch=1, state="stopped").state == "stopped"
    resumed = studies.edit(
        engine, study_id=study.id, revision=None, changes={"state": "running"}, actor=ACTOR
    )
    assert (resumed.state, resumed.finished_at) == ("running", None)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "x"},
        {"state": "done"},
        {"state": None},
        {"budget": 0},
        {"budget": 10**9},
        {"budget": "9"},
        {"budget": True},
        {"parallel": 0},
        {"parallel": 1.5},
        {"note": 7},
        {"note": "\x00"},
        {"goal": "x" * 20_000},
    ],
)
def test_a_wrong_edit_is_refused(engine: Engine, changes: dict[str, Any]) -> None:
    study = make_study(engine)
    with pytest.raises(Invalid):
        studies.edit(engine, study_id=study.id, revision=None, changes=changes, actor=ACTOR)
    assert studies.get(engine, study_id=study.id) == study


def test_a_budget_holds_what_was_made(engine: Engine) -> None:
    study = make_study(engine, parallel=1)
    sampling.fill(engine, study_id=study.id)
    with pytest.raises(Conflict, match="17 trials"):
        studies.edit(engine, study_id=study.id, revision=None, changes={"budget": 16}, actor=ACTOR)


def test_every_change_raises_the_revision(engine: Engine) -> None:
    study = make_study(engine)
    revisions = [study.revision]

    def changed() -> None:
        revisions.append(studies.get(engine, study_id=study.id).revision)

    (trial_id, *_) = sampling.fill(engine, study_id=study.id)
    changed()
    trials.claim(engine, trial_id=trial_id, worker_id=make_worker(engine))
    changed()
    trials.start(engine, trial_id=trial_id, epoch=1)
    changed()
    checkpoints.register(engine, trial_id=trial_id, epoch=1, step=1, uri="/a/b")
    changed()
    trials.cancel(engine, trial_id=trial_id, actor=ACTOR)
    changed()
    trials.finish(engine, trial_id=trial_id, epoch=1, state="stopped")
    changed()
    assert revisions == sorted(set(revisions))


def test_changed_since_names_what_changed(engine: Engine) -> None:
    first, second = make_study(engine), make_study(engine)
    with transaction(engine) as connection:
        before = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    now = studies.edit(engine, study_id=second.id, revision=None, changes={"note": "x"}, actor=ACTOR)
    assert studies.changed_since(engine, since=before) == [(second.id, now.revision)]
    everything = studies.changed_since(engine, since=datetime(2020, 1, 1, tzinfo=UTC))
    assert [study_id for study_id, _ in everything] == [first.id, second.id]


def test_preview_is_what_the_study_will_try(engine: Engine) -> None:
    design = StudyDesign("s", "", Objective("m"), SPACE, budget=5, seed=3)
    project = projects.create(engine, name="digits", actor=ACTOR)
    study = studies.create(engine, project_id=project.id, design=design, actor=ACTOR)
    tried = [trials.enqueue(engine, study_id=study.id, actor=ACTOR).parameters for _ in range(design.budget)]
    assert studies.preview(design, 100) == tried


def test_workers_register_beat_and_stop(engine: Engine) -> None:
    study = make_study(engine)
    worker_id = make_worker(engine)
    (first, second, *_) = sampling.fill(engine, study_id=study.id)
    for trial_id in (first, second):
        trials.claim(engine, trial_id=trial_id, worker_id=worker_id)
    (row,) = workers.page(engine).items
    assert [trial.id for trial in row.trials] == [first, second]
    assert row.silent_seconds is not None
    assert 0 <= row.silent_seconds < 60
    trials.cancel(engine, trial_id=second, actor=ACTOR)
    orders = workers.beat(engine, worker_id=worker_id, running=[first, second, 99])
    assert (orders.drain, orders.stop) == (False, (second, 99))
    assert workers.stopped(engine, worker_id=worker_id).stopped_at is not None
    name = row.worker.name
    again = workers.register(engine, name=name, host="b", slots=2, labels={"gpu": "H200"}, actor=ACTOR)
    assert (again.id, again.slots, again.labels, again.stopped_at) == (worker_id, 2, {"gpu": "H200"}, None)
    for unknown in (workers.beat, workers.stopped):
        with pytest.raises(NotFound):
            unknown(engine, worker_id=99)


def test_workers_come_page_by_page(engine: Engine) -> None:
    made = [make_worker(engine) for _ in range(5)]
    found = all_pages(lambda **page: workers.page(engine, **page))
    assert [row.worker.id for row in found] == made


@pytest.mark.parametrize(
    "wrong",
    [{"name": ""}, {"slots": -1}, {"slots": 2**31}, {"labels": {"a": float("nan")}}, {"host": "\x00"}],
)
def test_a_wrong_worker_is_refused(engine: Engine, wrong: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        workers.register(engine, **{"name": "w", "host": "h", "slots": 1, "actor": ACTOR, **wrong})


def test_checkpoints_are_registered_once_in_folders_of_their_own(engine: Engine) -> None:
    study = make_study(engine)
    (trial_id, *_) = sampling.fill(engine, study_id=study.id)
    worker_id = make_worker(engine)
    trials.claim(engine, trial_id=trial_id, worker_id=worker_id)

    def register(epoch: int, step: int, uri: str) -> Any:
        return checkpoints.register(engine, trial_id=trial_id, epoch=epoch, step=step, uri=uri, metric=0.5)

    first = register(1, 1, "/c/1/1/a")
    assert register(1, 1, "/c/1/1/a") == first
    with pytest.raises(Conflict):
        register(1, 1, "/c/1/1/b")
    register(1, 2, "/c/1/1/b")
    register(1, 3, "/c/1/1/c/")
    register(1, 4, "/another/folder/a")
    trials.release(engine, trial_id=trial_id, epoch=1)
    trials.claim(engine, trial_id=trial_id, worker_id=worker_id)
    for uri in ("/c/1/1/d", "/c/1/1/deep/d", "/another/folder/d", "/another/folder/deep/d"):
        with pytest.raises(Invalid) as refusal:
            register(2, 4, uri)
        assert refusal.value.field == "uri"
    register(2, 4, "/c/1/2/d")
    found = all_pages(lambda **page: checkpoints.page(engine, trial_id=trial_id, **page))
    assert [(row.checkpoint.epoch, row.checkpoint.step) for row in found] == [
        (2, 4),
        (1, 4),
        (1, 3),
        (1, 2),
        (1, 1),
    ]


@pytest.mark.parametrize("wrong", [{"step": 2**63}, {"step": 1.5}, {"uri": ""}, {"uri": "x" * 5000}])
def test_a_wrong_checkpoint_is_refused(engine: Engine, wrong: dict[str, Any]) -> None:
    study = make_study(engine)
    (trial_id, *_) = sampling.fill(engine, study_id=study.id)
    trials.claim(engine, trial_id=trial_id, worker_id=make_worker(engine))
    with pytest.raises(Invalid):
        checkpoints.register(engine, trial_id=trial_id, epoch=1, **{"step": 1, "uri": "/a", **wrong})
