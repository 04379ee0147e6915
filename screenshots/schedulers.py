"""Halving and a population at work on the digits, for docs/schedulers.md; a job is killed on the way."""

from pathlib import Path

from screenshots.camera import Camera
from screenshots.installation import installation, run_study
from tests.live import Live, until
from tests.promises.kills import pair

SLOTS = 2
PATIENCE_SECONDS = 1_800


def take(folder: Path) -> None:
    with installation(folder) as (live, made):
        run_study(live, "digits_population.toml")
        with live.worker("node-a", slots=SLOTS) as worker:
            until(lambda: waits(live), "a member has had its turn", PATIENCE_SECONDS)
            until(lambda: pair(worker), "another one trains")[0].kill()
            until(lambda: finished(live, "population"), "the population is trained", PATIENCE_SECONDS)
            run_study(live, "digits_halving.toml")
            until(lambda: finished(live, "best MLP, halving"), "the study has ended", PATIENCE_SECONDS)
        _shoot(live, made)


def _shoot(live: Live, made: Camera) -> None:
    ids = {study["name"]: study["id"] for study in live.api.get("/studies")["items"]}
    halved, population = ids["best MLP, halving"], ids["population"]
    shots = {
        "schedulers-rungs": f"/studies/{halved}/plots?kind=rungs",
        "schedulers-lineage": f"/studies/{population}/plots?kind=lineage&parameter=learning_rate",
    }
    for name, path in shots.items():
        made.page.goto(live.url + path)
        made.shoot(name, made.page.locator("main figure, main .figure").first, margin=6)
    attempts = {trial["id"]: live.attempts(trial["id"]) for trial in live.trials(population)}
    copied = [trial for trial, each in attempts.items() if any(one["resumed_from_trial_id"] for one in each)]
    shown = max(
        copied, key=lambda trial: len({one["outcome"] for one in attempts[trial]})
    )  # a killed one too
    made.page.goto(f"{live.url}/trials/{shown}")
    made.shoot("schedulers-attempts", made.page.locator("#attempts"))


def waits(live: Live) -> bool:
    studies = live.api.get("/studies")["items"]
    trials = [trial for study in studies for trial in live.trials(study["id"])]
    return any(trial["state"] == "queued" and trial["epoch"] for trial in trials)


def finished(live: Live, name: str) -> bool:
    return any(s["name"] == name and s["state"] == "finished" for s in live.api.get("/studies")["items"])
