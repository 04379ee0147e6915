"""One round of the method on the real digits, with nothing but findings to say what comes next:

a study whose learning rates are too low -> the boundary finding -> its follow-up as proposed -> the item
passes -> the best trial of each optimizer -> a conclusion with its caveats -> the report.
"""

from pathlib import Path
from typing import Any

import httpx

from tests.live import Live, until

EXAMPLES = Path(__file__).parents[2] / "examples"
TRIALS = 24


def rates(low: float, high: float) -> list[dict[str, object]]:
    span = {"type": "float", "low": low, "high": high, "scale": "log"}
    return [
        {"name": "optimizer", "type": "categorical", "choices": ["nesterov", "adam"], "role": "scientific"},
        {"name": "learning_rate", **span},
        {"name": "steps", "type": "fixed", "value": 300},
        {"name": "evaluate_every", "type": "fixed", "value": 20},
        {"name": "width", "type": "fixed", "value": 32},
    ]


def finished(live: Live, study_id: int) -> list[dict[str, Any]]:
    """The findings that rest on all of a study, once it is over."""
    until(lambda: live.api.get(f"/studies/{study_id}")["state"] == "finished", "the study is over", 240.0)

    def seen() -> list[dict[str, Any]] | None:
        study, found = live.api.get(f"/studies/{study_id}"), live.api.get(f"/studies/{study_id}/findings")
        return found["items"] if (found["revision"] or 0) >= study["revision"] else None

    return until(seen, "the findings have seen it")


def test_findings_lead_from_a_study_to_the_next(live: Live) -> None:
    project = live.api.post("/projects", {"name": "one round"})["id"]
    template = {"name": "digits", "argv": ["python", "digits_mlp.py"], "folder": str(EXAMPLES)}
    live.api.post(f"/projects/{project}/job-templates", template)
    document = {
        "name": "optimizer",
        "goal": "Which optimizer trains the two-layer MLP best?",
        "objective": {"metric": "valid/error", "direction": "minimize"},
        "budget": {"trials": TRIALS, "parallel": 2},
        "job": {"template": "digits"},
        "space": rates(1e-6, 1e-4),  # far too low for either
    }
    with live.worker(slots=2):
        first = live.api.post(f"/projects/{project}/studies", document)["id"]
        (boundary,) = [item for item in finished(live, first) if item["item"] == "boundary"]
        assert (boundary["verdict"], boundary["subject"]) == ("warn", "learning_rate")
        assert "upper edge" in boundary["sentence"]

        studies = [first]
        while boundary["verdict"] == "warn" and boundary["proposal"] and len(studies) < 4:
            changes = boundary["proposal"]["changes"]
            drafted = live.api.post(f"/studies/{studies[-1]}:followup", {"changes": changes})
            assert [row["field"] for row in drafted["difference"]]
            after = live.api.post(f"/projects/{project}/studies", drafted["document"])
            assert after["parents"] == [studies[-1]]
            studies.append(after["id"])
            (boundary,) = [item for item in finished(live, after["id"]) if item["item"] == "boundary"]
    last = live.api.get(f"/studies/{studies[-1]}")
    assert len(studies) > 1
    assert boundary["evidence"]["high"] > 1e-4
    best = [live.api.get(f"/trials/{live.api.get(f'/studies/{id_}')['best_trial_id']}") for id_ in studies]
    assert best[-1]["objective"] < best[0]["objective"]

    isolation = live.api.get(f"/studies/{last['id']}/data/isolation", params={"parameter": "optimizer"})
    assert sum(isolation["columns"]["trials"]) == last["counts"]["completed"]
    live.api.patch(f"/studies/{last['id']}", {"conclusion": "Both learn once the rate is high enough."})

    report = httpx.get(
        f"{live.url}/studies/{last['id']}/report.html", headers={"Authorization": f"Bearer {live.token}"}
    )
    assert report.status_code == httpx.codes.OK
    assert "Both learn once the rate is high enough." in report.text
    assert "only for steps = 300" in report.text
