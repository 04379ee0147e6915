"""No two trials share a GPU or a core: side by side, across workers, and when workers are killed."""

import contextlib
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.live import Live, until

pytestmark = pytest.mark.faults
RECORDS = """
import os, pathlib, sys, time
folder, patience_seconds = pathlib.Path(sys.argv[1]), float(sys.argv[2])
device = os.environ["CUDA_VISIBLE_DEVICES"]
start = time.monotonic()
own = folder / f"{device}-{os.getpid()}"
own.touch()
while time.monotonic() < start + patience_seconds and len(list(folder.glob(f"{device}-*"))) < 2:
    time.sleep(0.01)
time.sleep(0.3)
own.unlink()
with (folder / "record").open("a") as record:
    record.write(f"{device} {start} {time.monotonic()}\\n")
print('{"step": 1, "loss": 1}')
"""
REPORTS = """print('{"step": 1, "loss": 1}')"""
STAYS = """
import os, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.fork()
while True:
    signal.pause()
"""
UNLOCKED = "from tunebook_worker import device_locks\ndevice_locks.lock = lambda descriptor: None\n"


def overlap_seconds(
    live: Live, folder: Path, trials: int, patience_seconds: float, **environment: str
) -> tuple[int, float]:
    """How many of so many short trials two workers ran on the same two devices, and how long any two of them
    ran on one of these together. A trial waits that long for another one beside it."""
    shared: dict[str, Any] = {
        "TUNEBOOK_GPUS": "a,b",
        "TUNEBOOK_GPU_LOCKS": str(folder / "locks"),
        **environment,
    }
    program = live.script(RECORDS)
    with live.worker(slots=2, **shared), live.worker(slots=2, **shared):
        argv = [*program, str(folder), str(patience_seconds)]
        study = live.study(argv, trials=trials, parallel=4, resources={"gpus": 1})
        live.ended(study, trials, within_seconds=240)
    spans: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for line in (folder / "record").read_text().splitlines():
        device, *times = line.split()
        spans[device].append((float(times[0]), float(times[1])))
    assert set(spans) == {"a", "b"}
    together = 0.0
    for ran in spans.values():
        latest = 0.0
        for start, end in sorted(ran):
            together += max(0.0, min(latest, end) - start)
            latest = max(latest, end)
    return sum(map(len, spans.values())), together


def test_two_workers_with_the_same_gpus_never_overlap(live: Live, tmp_path: Path) -> None:
    assert overlap_seconds(live, tmp_path, trials=40, patience_seconds=0.0) == (40, 0.0)


def test_without_the_locks_they_do(live: Live, tmp_path: Path) -> None:
    """The negative control: the same harness, with workers whose locks lock nothing."""
    (tmp_path / "sitecustomize.py").write_text(UNLOCKED)
    ran, together = overlap_seconds(live, tmp_path, trials=4, patience_seconds=60.0, PYTHONPATH=str(tmp_path))
    assert ran == 4
    assert together > 0


@contextlib.contextmanager
def survivors(
    live: Live, name: str = "", *, kill_supervisor: bool = False, **shared: Any
) -> Iterator[tuple[int, psutil.Process]]:
    """A trial on GPU "a" that goes on although its worker was killed; and its supervisor, asleep."""
    with live.worker(name, **shared) as worker:
        study = live.study(live.script(STAYS), resources={"gpus": 1})
        trial = int(live.running(study)["id"])
        until(lambda: len(live.processes_of(trial, 1)) == 2, "the job and its child run")
        children = psutil.Process(worker.pid).children()
        (supervisor,) = [p for p in children if "tunebook_worker.supervisor" in p.cmdline()]
        supervisor.suspend()  # it must not hear that its worker died
        worker.popen.kill()
        worker.popen.wait()
        if kill_supervisor:  # takes the job's first process with it, not the child
            supervisor.kill()
        try:
            yield trial, supervisor
        finally:
            kill([supervisor, *live.processes_of(trial, 1)])


def kill(processes: Iterable[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def sharing(folder: Path, **environment: str) -> dict[str, Any]:
    return {"TUNEBOOK_GPUS": "a", "TUNEBOOK_GPU_LOCKS": str(folder / "locks"), **environment}


@pytest.mark.parametrize("kill_supervisor", [False, True], ids=["worker", "worker and supervisor"])
def test_a_gpu_is_not_given_while_a_killed_workers_job_lives(
    live: Live, tmp_path: Path, kill_supervisor: bool
) -> None:
    shared = sharing(tmp_path)
    with survivors(live, kill_supervisor=kill_supervisor, **shared) as (trial, supervisor):
        until(lambda: live.trial(trial)["state"] == "queued", "the lease has run out")
        with live.worker(slots=2, **shared):
            # It works, and has asked for a trial more often than once; none that needs the GPU was given.
            live.ended(live.study(live.script(REPORTS), trials=3, resources={"gpus": 0}), 3)
            assert live.trial(trial)["state"] == "queued"
            assert live.processes_of(trial, 1)
            kill([supervisor, *live.processes_of(trial, 1)])
            until(lambda: live.processes_of(trial, 2), "the second attempt has the GPU")


def test_without_the_locks_it_is(live: Live, tmp_path: Path) -> None:
    """The negative control, with locks that lock nothing."""
    (tmp_path / "sitecustomize.py").write_text(UNLOCKED)
    shared = sharing(tmp_path, PYTHONPATH=str(tmp_path))
    with survivors(live, **shared) as (trial, _), live.worker(**shared):
        until(lambda: live.processes_of(trial, 2), "the second attempt runs")
        assert live.processes_of(trial, 1)


def test_the_same_worker_started_again_ends_what_it_left_before_it_takes_anything(
    live: Live, tmp_path: Path
) -> None:
    shared = sharing(tmp_path)
    with survivors(live, "again", **shared) as (trial, _), live.worker("again", **shared):
        until(lambda: live.processes_of(trial, 2), "the second attempt runs")
        assert not live.processes_of(trial, 1)


def test_a_job_that_asks_for_cores_has_them_alone(live: Live, tmp_path: Path) -> None:
    """Two jobs of one core each wait for one another and show what they may run on."""
    program = f"""
import os, pathlib, time, tunebook
folder = pathlib.Path({str(tmp_path)!r})
cores = " ".join(map(str, sorted(os.sched_getaffinity(0))))
number = tunebook.current_trial().number
(folder / f"{{number}}.part").write_text(f"{{cores}} threads {{os.environ.get('OMP_NUM_THREADS')}}")
(folder / f"{{number}}.part").rename(folder / str(number))
while len([path for path in folder.iterdir() if not path.suffix]) < 2:
    time.sleep(0.01)
{REPORTS}
"""
    usable = sorted(os.sched_getaffinity(0))[:2]
    with live.worker(slots=2, TUNEBOOK_CPUS=str(len(usable))):
        if len(usable) == 2:
            live.ended(live.study(live.script(program), trials=2, parallel=2, resources={"cpus": 1}), 2)
            told = sorted((tmp_path / number).read_text() for number in "01")
            assert told == sorted(f"{core} threads 1" for core in usable)
        for file in tmp_path.iterdir():
            file.unlink()
        live.ended(live.study(live.script(program), trials=2, parallel=2), 2)
        everything = " ".join(map(str, sorted(os.sched_getaffinity(0))))
        assert {(tmp_path / number).read_text() for number in "01"} == {f"{everything} threads None"}


def test_a_job_that_asks_for_too_many_cores_waits_for_a_worker_that_has_them(live: Live) -> None:
    with live.worker(TUNEBOOK_CPUS="1"):
        wide = live.study(live.script(REPORTS), resources={"cpus": 2})
        live.ended(live.study(live.script(REPORTS), resources={"cpus": 1}))
        assert [trial["state"] for trial in live.trials(wide)] == ["queued"]
        with live.worker(TUNEBOOK_CPUS="2"):
            live.ended(wide)


def test_labels_decide_which_worker_takes_a_trial(live: Live) -> None:
    with live.worker(TUNEBOOK_LABELS="gpu=h100") as other, live.worker(TUNEBOOK_LABELS="gpu=h200,zone=a"):
        study = live.study(live.script(REPORTS), trials=4, resources={"labels": {"gpu": "h200"}})
        assert {trial["state"] for trial in live.ended(study, 4)} == {"completed"}
        assert "claimed" not in other.log.read_text()
