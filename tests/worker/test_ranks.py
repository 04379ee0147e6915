"""Jobs of several processes: they find one another, end together, and one of them reports."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.live import Live, until
from tunebook.job import rank_seed

TOGETHER = """
import os, socket, time
rank, count = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
place = (os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))
if rank == 0:
    server = socket.create_server(place)
    peers = [server.accept()[0] for _ in range(count - 1)]
else:
    while True:
        try:
            peers = [socket.create_connection(place)]
            break
        except ConnectionRefusedError:
            time.sleep(0.01)

def total(number):
    "The sum over all ranks, in all of them."
    if rank == 0:
        number += sum(int.from_bytes(peer.recv(8), "little") for peer in peers)
    for peer in peers:
        peer.sendall(number.to_bytes(8, "little"))
    return number if rank == 0 else int.from_bytes(peers[0].recv(8), "little")
"""
REPORTS = f"""{TOGETHER}
import sys, tunebook
trial = tunebook.current_trial()
assert (trial.rank, trial.processes) == (rank, count)
for step in range(1, 4):
    trial.report(step, {{"loss": total(10 ** rank * step), "rank": rank}})
    print('{{"step": %d, "printed": %d}}' % (step, rank), flush=True)
trial.checkpoint(3, "/" if rank == 0 else "/no/such/file")
print("seeds", trial.seed, trial.data_seed, os.environ["LOCAL_RANK"], os.environ["LOCAL_WORLD_SIZE"])
print("gpus", os.environ["CUDA_VISIBLE_DEVICES"], file=sys.stderr)
"""
RESUMES = f"""{TOGETHER}
import pathlib, tunebook
trial = tunebook.current_trial()
for step in range((trial.resume_step or 0) + 1, 11):
    trial.report(step, {{"loss": float(total(1) * 100 + step)}})
    if step == 5 and trial.epoch == 1:
        if rank == 0:
            (trial.checkpoint_folder / "five").write_text("weights")
        trial.checkpoint(5, trial.checkpoint_folder / "five")
        while True:
            total(1)
            time.sleep(0.05)
print("resumed from", trial.resume_from.read_text())
"""


def run_ranks(
    program: str, count: int = 2, *, grace_seconds: float = 0.5, linger_seconds: float = 60.0
) -> "subprocess.Popen[str]":
    start = (
        "import sys, tunebook_worker.ranks as ranks; "
        f"ranks.LINGER_SECONDS = {linger_seconds}; sys.exit(ranks.main())"
    )
    command = [sys.executable, "-c", textwrap.dedent(program)]
    return subprocess.Popen(
        [sys.executable, "-c", start, str(count), str(grace_seconds), *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@contextlib.contextmanager
def ended_after(job: "subprocess.Popen[str]") -> Iterator[None]:
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(job.pid, signal.SIGKILL)
        job.communicate()


def test_they_find_one_another_and_the_first_one_reports(live: Live) -> None:
    with live.worker(TUNEBOOK_GPUS="a,b,c"):
        study = live.study(live.script(REPORTS), processes=3, resources={"gpus": 2})
        (trial,) = live.ended(study)
        log = live.log(trial["id"])
        assert trial["state"] == "completed", log
        assert live.points(trial["id"]) == [(step, 111.0 * step) for step in (1, 2, 3)]
        assert {value for _, value in live.points(trial["id"], "rank")} == {0}
        assert {value for _, value in live.points(trial["id"], "printed")} == {0}
        assert '[rank 2] {"step": 3, "printed": 2}\n' in log
        seeds = re.findall(r"seeds (\d+) (\d+) (\d) 3$", log, re.MULTILINE)
        expected = [(trial["seed"], rank_seed(trial["seed"], rank), rank) for rank in range(3)]
        assert sorted((int(seed), int(data), int(rank)) for seed, data, rank in seeds) == sorted(expected)
        assert len({data for _, data, _ in seeds}) == 3
        assert log.count("gpus a,b\n") == 3
        (attempt,) = live.attempts(trial["id"])
        assert attempt["exit_status"] == 0


def test_when_one_is_killed_all_end_and_the_next_attempt_resumes(live: Live) -> None:
    with live.worker():
        study = live.study(live.script(RESUMES), processes=3)
        trial = int(live.running(study)["id"])
        until(lambda: live.trial(trial)["last_step"] == 5, "the ranks have come to step 5")
        (second,) = [p for p in live.processes_of(trial, 1) if p.environ().get("RANK") == "1"]
        second.kill()
        live.ended(study)
        assert not live.processes_of(trial, 1)
        first, again = live.attempts(trial)
        assert (first["outcome"], first["reason"]) == ("failed", "The job was killed by SIGKILL: rank 1")
        assert (again["outcome"], again["resumed_from_step"]) == ("completed", 5)
        assert live.points(trial) == [(step, 300.0 + step) for step in range(1, 11)]
        assert live.log(trial).count("resumed from weights") == 3


def test_a_cancel_reaches_every_rank(live: Live) -> None:
    program = """
    import signal, tunebook
    trial = tunebook.current_trial()
    trial.should_stop  # takes over SIGTERM
    trial.report(1, {"loss": 1.0})
    while not trial.should_stop:
        signal.sigtimedwait([], 0.02)
    print("saved", trial.rank)
    """
    with live.worker():
        study = live.study(live.script(textwrap.dedent(program)), processes=2)
        trial = int(live.running(study)["id"])
        until(lambda: live.points(trial), "the job runs")
        live.api.post(f"/trials/{trial}:cancel")
        (ended,) = live.ended(study)
        assert ended["state"] == "stopped"
        assert sorted(re.findall(r"saved \d", live.log(trial))) == ["saved 0", "saved 1"]


def test_the_first_failure_counts_and_a_rank_that_hangs_is_killed() -> None:
    program = """
        import os, signal, sys
        if os.environ["RANK"] == "1":
            sys.exit("ValueError: the loss is a banana")
        signal.signal(signal.SIGTERM, lambda *_: print("too late", file=sys.stderr, flush=True))
        while True:
            signal.pause()
    """
    job = run_ranks(program, 3)
    with ended_after(job):
        _, errors = job.communicate(timeout=60)
        assert job.returncode == 1
        assert errors.endswith("\nrank 1: ValueError: the loss is a banana\n")
        assert not [p for p in psutil.process_iter() if _session(p.pid) == job.pid]


@pytest.mark.parametrize(("ends", "status"), [("sys.exit(87)", 87), ("os.kill(os.getpid(), 11)", -11)])
def test_the_status_is_that_of_the_rank(ends: str, status: int) -> None:
    job = run_ranks(f"import os, signal, sys\nif os.environ['RANK'] == '0': {ends}\nsignal.pause()")
    with ended_after(job):
        _, errors = job.communicate(timeout=60)
        assert job.returncode == status
        assert errors.endswith("rank 0\n")


def test_ranks_that_outlive_the_first_one_are_waited_for(tmp_path: Path) -> None:
    first, done = tmp_path / "first", tmp_path / "done"
    program = f"""
        import os, pathlib, sys, time
        first = pathlib.Path({str(first)!r})
        if os.environ["RANK"] == "0":
            first.write_text(str(os.getpid()))
            sys.exit(0)
        while not (first.exists() and first.read_text()):
            time.sleep(0.01)
        while os.path.exists("/proc/" + first.read_text()):
            time.sleep(0.01)
        pathlib.Path({str(done)!r}).touch()
    """
    job = run_ranks(program)
    with ended_after(job):
        job.communicate(timeout=60)
        assert job.returncode == 0
        assert done.exists()


def test_but_not_for_ever() -> None:
    program = "import os, signal, sys\nif os.environ['RANK'] == '0': sys.exit(0)\nsignal.pause()"
    job = run_ranks(program, linger_seconds=0.2)
    with ended_after(job):
        _, errors = job.communicate(timeout=60)
        assert job.returncode == 0
        assert "rank 0 has ended well" in errors


def test_no_rank_outlives_the_process_that_started_it() -> None:
    job = run_ranks("import signal; print('up', flush=True); signal.pause()", 3)
    with ended_after(job):
        assert job.stdout is not None
        assert job.stdout.readline() == "up\n"
        ranks = until(lambda: _three(psutil.Process(job.pid).children()), "all ranks run")
        job.kill()
        assert not psutil.wait_procs(ranks, timeout=60)[1]


def test_output_without_an_end_of_line_and_of_any_length_arrives() -> None:
    program = """
        import os, sys
        if os.environ["RANK"] == "1":
            sys.stdout.write("x" * 200_000 + "\\nend")
    """
    job = run_ranks(program)
    with ended_after(job):
        out, errors = job.communicate(timeout=60)
        assert (job.returncode, out) == (0, "")
        assert errors.replace("\n[rank 1] ", "").count("x") == 200_000
        assert errors.endswith("\n[rank 1] end\n")


def test_a_command_that_cannot_be_run_is_named() -> None:
    job = subprocess.run(
        [sys.executable, "-m", "tunebook_worker.ranks", "2", "1", "/"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert job.returncode == 126
    assert "could not be started" in job.stderr


def _three(found: list[psutil.Process]) -> list[psutil.Process]:
    return found if len(found) == 3 else []


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None
