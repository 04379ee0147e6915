"""A worker that the server drains gives back what it has, ends, and waits when it is started again."""

from tests.live import Live, until

FOREVER = "import signal; signal.pause()"


def test_a_drained_worker_waits_until_it_may_work_again(live: Live) -> None:
    with live.worker("drained") as worker:
        study = live.study(live.script(FOREVER))
        trial = live.running(study)["id"]
        (row,) = [row for row in live.api.get("/workers")["items"] if row["name"] == "drained"]
        assert (row["state"], [each["id"] for each in row["trials"]]) == ("alive", [trial])
        live.api.post(f"/workers/{row['id']}:drain")
        assert until(lambda: worker.popen.poll() is not None, "the worker has ended")
        assert worker.popen.returncode == 0, worker.log.read_text()
        (attempt,) = live.attempts(trial)
        assert (attempt["outcome"], attempt["charged"]) == ("released", False)

        again = live.start(
            "drained-again",
            *("worker", "--slots", "1", "--name", "drained"),
            TUNEBOOK_URL=live.url,
            TUNEBOOK_WORKER_TOKEN_FILE=str(live.data / "drained.token"),
            TUNEBOOK_GRACE_SECONDS="2",
            CUDA_VISIBLE_DEVICES="",
        )
        try:
            until(lambda: "does not register us yet" in again.log.read_text(), "it was told to wait")
            assert live.trial(trial)["state"] == "queued"
            assert again.popen.poll() is None
            live.api.post(f"/workers/{row['id']}:undrain")
            assert live.running(study)["id"] == trial
        finally:
            again.stop()
            live.processes.remove(again)
