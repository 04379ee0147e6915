"""Real trainings, reported by a real worker: the findings of their curves appear by themselves."""

import pytest

from tests.findings.record_studies import STUDIES
from tests.journey.test_one_round import EXAMPLES, finished
from tests.live import Live


@pytest.mark.parametrize(
    ("name", "verdicts", "proposed"),
    [
        ("600 slow steps", {"still improving": "warn", "overfitting": "pass"}, "steps"),
        ("no regularisation", {"overfitting": "warn", "training loss rises": "pass"}, "weight_decay"),
    ],
)
def test_what_curves_show_is_found_and_answered(
    live: Live, name: str, verdicts: dict[str, str], proposed: str
) -> None:
    real = STUDIES[name]
    project = live.api.post("/projects", {"name": name})["id"]
    template = {"name": "digits", "argv": ["python", "digits_mlp.py"], "folder": str(EXAMPLES)}
    live.api.post(f"/projects/{project}/job-templates", template)
    document = {
        "name": name,
        "goal": "Which optimizer trains the two-layer MLP best?",
        "objective": {"metric": "valid/loss", "direction": "minimize"},
        "sampler": {"name": "grid"},
        "budget": {"trials": len(real.configurations()), "parallel": 2},
        "job": {"template": "digits"},
        "space": real.space(),
    }
    with live.worker(slots=2):
        study_id = live.api.post(f"/projects/{project}/studies", document)["id"]
        found = {item["item"]: item for item in finished(live, study_id)}
    assert {item: found[item]["verdict"] for item in verdicts} == verdicts
    (warned,) = [item for item, verdict in verdicts.items() if verdict == "warn"]
    draft = live.api.post(f"/studies/{study_id}:followup", {"changes": found[warned]["proposal"]["changes"]})
    assert any(proposed in row["field"] for row in draft["difference"]), draft["difference"]
