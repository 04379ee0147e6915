"""Findings in the background: what is due, what is kept, and on which revision it rests."""

from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, text

from tests.scale import build
from tests.services.making import ACTOR, make_study
from tunebook_server.domain.changes import Choices
from tunebook_server.domain.errors import Invalid, NotFound
from tunebook_server.domain.findings import CHECKLIST, Finding, Proposal, Results, Verdict
from tunebook_server.domain.findings.leading import best_of_each_value
from tunebook_server.domain.study import Study
from tunebook_server.jobs.refresh import refresh_findings, refreshing
from tunebook_server.services import findings, follow_ups, results, studies


def let_time_pass(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE findings SET computed_at = computed_at - interval '1 hour'"))


def test_a_study_with_trials_is_due_until_its_findings_have_seen_everything(engine: Engine) -> None:
    empty = make_study(engine)
    study_id = build(engine, trials=60, points=20)
    assert findings.due(engine, limit=10) == [study_id]
    assert findings.get(engine, study_id=study_id) is None
    findings.refresh(engine, study_id=study_id)
    kept = findings.get(engine, study_id=study_id)
    assert kept is not None
    assert kept.revision == studies.get(engine, study_id=study_id).revision
    assert {item["item"] for item in kept.items} <= set(CHECKLIST)
    let_time_pass(engine)
    assert findings.due(engine, limit=10) == []  # nothing has changed: not even by the findings themselves
    studies.edit(engine, study_id=study_id, changes={"note": "seen"}, actor=ACTOR)
    assert findings.due(engine, limit=10) == [study_id]
    findings.refresh(engine, study_id=study_id)
    assert findings.due(engine, limit=10) == []
    studies.edit(engine, study_id=study_id, changes={"note": "again"}, actor=ACTOR)
    assert findings.due(engine, limit=10) == []  # too soon
    assert findings.get(engine, study_id=empty.id) is None


def test_the_revision_rises_only_with_what_they_say(engine: Engine) -> None:
    study_id = build(engine, trials=60, points=20)
    before = studies.get(engine, study_id=study_id).revision
    findings.refresh(engine, study_id=study_id)
    assert studies.get(engine, study_id=study_id).revision == before + 1
    findings.refresh(engine, study_id=study_id)
    assert studies.get(engine, study_id=study_id).revision == before + 1


def test_a_study_is_judged_by_its_own_thresholds_from_the_next_look_on(engine: Engine) -> None:
    study_id = build(engine, trials=60, points=20)
    findings.refresh(engine, study_id=study_id)
    before = boundaries(engine, study_id)
    assert all(item["thresholds"] == {} for item in before)
    first = studies.get(engine, study_id=study_id)
    own = {"boundary.needed_trials": 61, "sampling.good_needed": 5}
    after = studies.edit(
        engine, study_id=study_id, edition=first.edition, changes={"checks": own}, actor=ACTOR
    )
    assert after.checks == own
    assert after.edition != first.edition
    let_time_pass(engine)
    assert findings.due(engine, limit=10) == [study_id]
    findings.refresh(engine, study_id=study_id)
    for item in boundaries(engine, study_id):
        assert item["sentence"].endswith("of 61).")
        assert item["thresholds"] == {"boundary.needed_trials": 61}, "the other one is at its default"
    follow_up = follow_ups.draft(engine, study_id=study_id, changes=[])
    assert follow_up.design.checks == own
    assert not [row for row in follow_up.difference if row.field.startswith("checks")]
    studies.edit(engine, study_id=study_id, changes={"checks": {}}, actor=ACTOR)
    findings.refresh(engine, study_id=study_id)
    assert boundaries(engine, study_id) == before
    with pytest.raises(Invalid):
        studies.edit(engine, study_id=study_id, changes={"checks": {"boundary.edge": 2}}, actor=ACTOR)


def boundaries(engine: Engine, study_id: int) -> list[dict[str, Any]]:
    kept = findings.get(engine, study_id=study_id)
    assert kept is not None
    return [item for item in kept.items if item["item"] == "boundary"]


def test_a_change_while_they_are_computed_makes_them_due_again(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    study_id = build(engine, trials=60, points=20)
    read = results.read

    def read_and_change(*arguments: object) -> object:
        found = read(*arguments)  # type: ignore[arg-type]
        studies.edit(engine, study_id=study_id, changes={"note": "meanwhile"}, actor=ACTOR)
        return found

    monkeypatch.setattr(results, "read", read_and_change)
    findings.refresh(engine, study_id=study_id)
    let_time_pass(engine)
    assert findings.due(engine, limit=10) == [study_id]


def test_the_background_refreshes_what_is_due(engine: Engine) -> None:
    study_id = build(engine, trials=30, points=10)
    thread = refreshing(engine, seconds=60.0)
    thread.pass_once()
    assert thread.failures == 0
    assert findings.get(engine, study_id=study_id) is not None


def test_of_an_unknown_study_there_are_none(engine: Engine) -> None:
    with pytest.raises(NotFound):
        findings.get(engine, study_id=99)


def test_curves_of_the_best_of_each_value_and_of_a_bounded_number(engine: Engine) -> None:
    study_id = build(engine, trials=500, points=50)
    study = studies.get(engine, study_id=study_id)
    found = results.read(engine, study)
    assert 10 <= len(found.curves) <= 50
    best = best_of_each_value(found)
    assert len(best) == 2  # one an optimizer
    for place in best:
        curve = found.objective_curve(int(found.columns.ids[place]))
        assert curve is not None
        assert len(curve) == 50


def test_an_item_that_fails_says_so_and_keeps_no_other_from_being_seen(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: object) -> list[Finding]:
        raise ZeroDivisionError

    monkeypatch.setattr(findings, "CHECKLIST", {**CHECKLIST, "boundary": fails})
    study_id = build(engine, trials=60, points=20)
    findings.refresh(engine, study_id=study_id)
    kept = findings.get(engine, study_id=study_id)
    assert kept is not None
    assert [item["sentence"] for item in kept.items if item["item"] == "boundary"] == [findings.FAILED]
    assert {item["item"] for item in kept.items} == set(CHECKLIST)


def test_a_study_that_fails_keeps_no_other_from_its_turn(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    well, ill = (build(engine, trials=30, points=10, project=name) for name in ("well", "ill"))
    read = results.read

    def read_the_well(engine: Engine, study: Study) -> Results:
        if study.id == ill:
            raise ZeroDivisionError
        return read(engine, study)

    monkeypatch.setattr(results, "read", read_the_well)
    assert findings.due(engine, limit=10)[0] == ill  # the newest is looked at first
    refresh_findings(engine)
    assert findings.get(engine, study_id=well) is not None
    assert findings.get(engine, study_id=ill) is None


def test_proposals_of_choices_and_numbers_of_arrays_are_the_same_the_next_time(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    proposal = Proposal("Only two", (Choices("optimizer", ("sgd", "adam")),))
    evidence = {"trials": np.int64(3), "share": np.float64(0.5)}
    finding = Finding("boundary", Verdict.WARN, "It is so.", evidence, 3, proposal=proposal)  # type: ignore[arg-type]
    monkeypatch.setattr(findings, "CHECKLIST", {"boundary": lambda _: [finding]})
    study_id = build(engine, trials=10, points=10)
    findings.refresh(engine, study_id=study_id)
    before = studies.get(engine, study_id=study_id).revision
    findings.refresh(engine, study_id=study_id)
    assert studies.get(engine, study_id=study_id).revision == before
