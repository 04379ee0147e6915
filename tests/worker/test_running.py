"""From a hint to an ended trial, with a real server and worker: what jobs do, and what becomes of it."""

from pathlib import Path

from tests.live import Live, until

PRINT_ONE = """print('{"step": 1, "loss": 0.5}', flush=True)"""
SDK = """
import tunebook
trial = tunebook.current_trial()
for step in range(50):
    trial.report(step, {"loss": 1.0 / (step + 1), "train/loss": float("nan")})
print("rate", trial.parameters["rate"])
"""
PERL = r"""
for my $step (1 .. 3) { printf "{\"step\": %d, \"loss\": %.2f}\n", $step, 1 / $step }
print "rate was $1\n" if "@ARGV" =~ /--rate=(\S+)/;
"""
CHECKPOINT = """
import os, signal
import tunebook
trial = tunebook.current_trial()
start = trial.resume_step or 0
for step in range(start + 1, 11):
    trial.report(step, {"loss": 11.0 - step})
    if step == 5 and trial.epoch == 1:
        path = trial.checkpoint_folder / "five"
        path.write_text("weights")
        trial.checkpoint(step, path)
        os._exit(3)
if trial.resume_from is not None:
    print("resumed from", trial.resume_from.read_text())
"""


def test_a_job_with_the_sdk_completes(live: Live) -> None:
    with live.worker() as worker:
        study = live.study(live.script(SDK), trials=3)
        trials = live.ended(study, 3)
        assert [t["state"] for t in trials] == ["completed"] * 3, worker.log.read_text()
        for trial in trials:
            assert trial["objective"] == 1 / 50
            assert live.points(trial["id"]) == [(step, 1 / (step + 1)) for step in range(50)]
            assert live.points(trial["id"], "train/loss") == [(step, "NaN") for step in range(50)]
            assert live.log(trial["id"]) == f"rate {trial['parameters']['rate']!r}\n"
        assert not list((live.data / "workers" / worker.log.stem / "jobs").iterdir())


def test_a_job_in_another_language_prints_its_metrics(live: Live) -> None:
    with live.worker():
        study = live.study(live.script(PERL, "perl"))
        (trial,) = live.ended(study)
        assert (trial["state"], trial["objective"], trial["best_step"]) == ("completed", 0.33, 3)
        assert live.points(trial["id"]) == [(1, 1.0), (2, 0.5), (3, 0.33)]
        assert f"rate was {trial['parameters']['rate']!r}\n" in live.log(trial["id"])


def test_exit_code_3_is_tried_three_times(live: Live) -> None:
    with live.worker():
        study = live.study(
            live.script("import sys; print('tried', file=sys.stderr); sys.exit(3)"), attempts=3
        )
        (trial,) = live.ended(study)
        assert trial["state"] == "failed"
        assert trial["reason"] == "The job ended with exit code 3: tried"
        attempts = live.attempts(trial["id"])
        assert [(a["epoch"], a["outcome"], a["charged"], a["exit_status"]) for a in attempts] == [
            (epoch, "failed", True, 3) for epoch in (1, 2, 3)
        ]


def test_exit_code_87_is_infeasible_and_final(live: Live) -> None:
    with live.worker():
        study = live.study(live.script("import sys; sys.exit(87)"))
        (trial,) = live.ended(study)
        assert (trial["state"], trial["epoch"]) == ("infeasible", 1)


def test_the_sdk_says_why_a_trial_is_infeasible(live: Live) -> None:
    with live.worker():
        study = live.study(
            live.script("import tunebook; tunebook.current_trial().infeasible('out of memory')")
        )
        (trial,) = live.ended(study)
        assert (trial["state"], trial["reason"], trial["epoch"]) == ("infeasible", "out of memory", 1)


def test_a_command_that_does_not_exist_is_named(live: Live) -> None:
    with live.worker():
        study = live.study(["no-such-command"], attempts=1)
        (trial,) = live.ended(study)
        assert trial["state"] == "failed"
        assert "'no-such-command' was not found on PATH" in trial["reason"]


def test_a_folder_that_does_not_exist_is_named(live: Live) -> None:
    with live.worker():
        study = live.study(["true"], folder="/no/such/folder", attempts=1)
        (trial,) = live.ended(study)
        assert trial["state"] == "failed"
        assert "'/no/such/folder' does not exist on this host" in trial["reason"]


def test_a_second_attempt_resumes_from_the_registered_checkpoint(live: Live) -> None:
    with live.worker():
        study = live.study(live.script(CHECKPOINT))
        (trial,) = live.ended(study)
        assert (trial["state"], trial["epoch"]) == ("completed", 2)
        assert live.points(trial["id"]) == [(step, 11.0 - step) for step in range(1, 11)]
        assert live.log(trial["id"]) == "resumed from weights\n"
        assert [a["resumed_from_step"] for a in live.attempts(trial["id"])] == [None, 5]
        assert (live.data / "checkpoints" / str(trial["id"]) / "1" / "five").read_text() == "weights"


def test_fifty_megabytes_of_output_do_not_keep_a_trial_from_ending(live: Live) -> None:
    program = "import os\nfor _ in range(800): os.write(1, b'0123456789abcde\\n' * 4096)\n" + PRINT_ONE
    with live.worker():
        study = live.study(live.script(program))
        (trial,) = live.ended(study, within_seconds=120)
        assert (trial["state"], trial["objective"]) == ("completed", 0.5)
        assert live.log(trial["id"]).endswith('0123456789abcde\n{"step": 1, "loss": 0.5}\n')


def test_a_job_that_closes_its_output_completes(live: Live) -> None:
    with live.worker():
        study = live.study(live.script(PRINT_ONE + "\nimport os; os.close(1); os.close(2)"))
        (trial,) = live.ended(study)
        assert trial["state"] == "completed"


def test_slots_run_trials_side_by_side(live: Live, tmp_path: Path) -> None:
    """Each of two jobs waits until the other is there."""
    program = f"""
import os, pathlib, time, tunebook
folder = pathlib.Path({str(tmp_path)!r})
(folder / str(tunebook.current_trial().number)).touch()
while len(list(folder.iterdir())) < 2:
    time.sleep(0.01)
{PRINT_ONE}
"""
    with live.worker(slots=2):
        study = live.study(live.script(program), trials=2, parallel=2)
        assert [t["state"] for t in live.ended(study, 2)] == ["completed"] * 2


def test_nothing_secret_is_in_the_jobs_reach(live: Live) -> None:
    program = f"""
import os, pathlib
found = [pathlib.Path("/proc/self/environ").read_bytes(), pathlib.Path("/proc/self/cmdline").read_bytes()]
folder = pathlib.Path(os.environ["TUNEBOOK_JOB"]).parent
found += [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
supervisor = os.getppid()
found += [pathlib.Path(f"/proc/{{supervisor}}/cmdline").read_bytes()]
print(b"tbk_" in b"".join(found), b"postgres" in b"".join(found))
{PRINT_ONE}
"""
    with live.worker():
        study = live.study(live.script(program))
        (trial,) = live.ended(study)
        assert live.log(trial["id"]).startswith("False False\n")


def test_what_is_written_is_private(live: Live) -> None:
    with live.worker() as worker:
        live.study(live.script("import signal; signal.pause()"))
        folder = live.data / "workers" / worker.log.stem
        job = until(lambda: next(folder.glob("jobs/*/started.json"), None), "the job has a folder")
        open_to_others = [p for p in [folder, *folder.rglob("*")] if p.stat().st_mode & 0o077]
        assert job.exists()
        assert not open_to_others
