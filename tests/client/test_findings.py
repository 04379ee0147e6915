"""Findings and figures from a script, a notebook and CI, against a real server."""

import itertools
import json
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

import tunebook
from tests.client.test_cli import environment, run
from tests.live import Live, until
from tunebook.findings import Findings

__all__ = ["environment"]
HOSTILE = "edge <b>\"&'"


@pytest.fixture(scope="module")
def study(live: Live) -> tunebook.Study:
    return swept(live, HOSTILE)


def swept(live: Live, name: str) -> tunebook.Study:
    """Twenty trials of a loop, the better the larger the rate: its edge is where the best ones crowd."""
    client = tunebook.Client(live.url, live.api._token)
    made = client.create(
        {
            "project": "findings",
            "name": name,
            "goal": "where is the best?",
            "objective": {"metric": "loss", "direction": "minimize"},
            "budget": {"trials": 20},
            "space": [{"name": "rate", "type": "float", "low": 1e-4, "high": 1.0, "scale": "log"}],
        }
    )
    for trial in made.ask_each():
        trial.report(1, {"loss": -float(trial.parameters["rate"])})
    return made


def checked(study: tunebook.Study, environment: dict[str, str], *options: str, status: int = 0) -> str:
    return run(["study", "check", study.id, *options], environment, status=status).stdout


def test_findings_as_a_table_and_as_an_exit_status(
    study: tunebook.Study, environment: dict[str, str]
) -> None:
    said = checked(study, environment)
    assert "! warn" in said
    assert "boundary: rate" in said
    checked(study, environment, "--fail-on", "warn", status=1)
    checked(study, environment, "--fail-on", "never")


def test_findings_for_machines(study: tunebook.Study, environment: dict[str, str]) -> None:
    items = json.loads(checked(study, environment, "--format", "json"))["items"]
    suite = ET.fromstring(checked(study, environment, "--format", "junit"))
    assert suite.attrib["name"] == HOSTILE
    assert int(suite.attrib["tests"]) == len(items) == len(suite.findall("testcase"))
    assert "boundary: rate" in [case.attrib["name"] for case in suite.findall("testcase/[failure]")]
    (sarif,) = json.loads(checked(study, environment, "--format", "sarif"))["runs"]
    assert len(sarif["results"]) == len(items)
    assert {result["level"] for result in sarif["results"]} <= {"error", "warning", "none"}


def test_findings_and_figures_in_a_script(study: tunebook.Study) -> None:
    (boundary,) = [item for item in study.findings() if item["item"] == "boundary"]
    assert (boundary["verdict"], boundary["subject"]) == ("warn", "rate")
    assert boundary["proposal"]["changes"] == [{"change": "range", "key": "rate", "low": 1e-4, "high": 10.0}]
    figure = study.figure(kind=boundary["figure"]["kind"], **boundary["figure"]["options"])
    assert figure._repr_mimebundle_()["application/vnd.plotly.v1+json"]["data"]
    with pytest.raises(tunebook.Invalid, match="kind"):
        study.figure("nothing")


def test_findings_straight_after_a_loop_are_of_all_of_it(live: Live) -> None:
    made = swept(live, "straight after")
    study = live.api.get(f"/studies/{made.id}")
    found = made.findings(timeout_seconds=60.0)
    assert found.is_current
    assert found.revision is not None
    assert found.revision >= study["revision"]
    assert {item["trials"] for item in found if item["item"] == "boundary"} == {20}


def test_figures_leave_the_notebook_where_plotly_is_installed(
    study: tunebook.Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for figure in (study.figure("axis", parameter="rate"), study.figure("history")):
        figure.write_html(tmp_path / "figure.html")
        assert "Plotly.newPlot(" in (tmp_path / "figure.html").read_text()
    monkeypatch.setitem(sys.modules, "plotly.graph_objects", None)
    with pytest.raises(ImportError, match="pip install plotly"):
        study.figure("history").show()


def test_findings_that_do_not_come_in_time_say_so(live: Live) -> None:
    made = swept(live, "in no time")
    until(lambda: made.findings().is_current, "the server has looked")
    notes = itertools.count()

    def is_behind() -> bool:
        made.edit(note=f"note {next(notes)}")
        return not made.findings(timeout_seconds=0.0).is_current

    until(is_behind, "findings that are older than the note")


def test_a_study_without_trials_has_no_findings_and_the_check_ends_in_time(
    live: Live, environment: dict[str, str]
) -> None:
    document = {
        "project": "findings",
        "name": "empty",
        "objective": {"metric": "loss"},
        "budget": {"trials": 1},
    }
    space = [{"name": "rate", "type": "float", "low": 0.0, "high": 1.0}]
    made = tunebook.Client(live.url, live.api._token).create({**document, "space": space})
    assert made.findings(timeout_seconds=3600.0) == []
    done = run(["study", "check", made.id, "--timeout", "0.1"], environment, status=3)
    assert "No findings of this state of the study after 0.1 s." in done.stderr


def test_findings_are_a_table_wherever_they_are_shown() -> None:
    hostile = {"item": "boundary", "subject": "<b>\x1b[2J", "verdict": "warn", "sentence": "a & b"}
    passed = {"item": "repeats", "subject": "", "verdict": "pass", "sentence": "Fine."}
    found = Findings([passed, hostile])
    assert found == [passed, hostile]
    assert str(found).splitlines()[1:] == [
        "! warn   boundary: <b>\\x1b[2J  a & b",
        "✓ pass   repeats               Fine.",
    ]
    html = found._repr_html_()
    assert "<b>" not in html
    assert "changed" not in html + str(found)
    for stale in (Findings([passed], revision=12, is_current=False), Findings([], is_current=False)):
        caveat = (
            "changed since: these are the findings of its revision 12." if stale else "not looked at this"
        )
        assert caveat in str(stale)
        assert caveat in stale._repr_html_()
    assert html.index("boundary: &lt;b&gt;") < html.index("a &amp; b") < html.index("repeats")


def test_studies_compared_in_a_script(study: tunebook.Study, live: Live, environment: dict[str, str]) -> None:
    client = tunebook.Client(live.url, live.api._token)
    other = client.create(
        {
            "project": "findings",
            "name": "random",
            "objective": {"metric": "loss", "direction": "minimize"},
            "sampler": {"name": "random"},
            "budget": {"trials": 20},
            "space": [{"name": "rate", "type": "float", "low": 1e-4, "high": 1.0, "scale": "log"}],
        }
    )
    for trial in other.ask_each():
        trial.report(1, {"loss": 5 - float(trial.parameters["rate"])})
    found = client.compare([study.id, other.id])
    checks = {check["item"]: check["verdict"] for check in found["checks"]}
    assert (checks["objective"], checks["sampler"]) == ("pass", "warn")
    assert [place["wins"] for place in found["isolation"]["studies"]] == [True, False]
    for kind in ("isolation", "best-of-k", "distribution"):
        figure = client.figure(kind, studies=[study.id, other.id])
        assert figure._repr_mimebundle_()["application/vnd.plotly.v1+json"]["data"]
    best = [place["trial_id"] for place in found["isolation"]["studies"]]
    assert len(client.figure("curves", trials=best, y="linear").document["data"]) == 4
    with pytest.raises(tunebook.NotFound, match="no study"):
        client.compare([study.id, 987654321])
