"""What Prometheus is told: true numbers, under names and labels that nobody can add to."""

import re

from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from tests.api.site import Site, World, created, ok, problem
from tunebook_server.jobs.sweep import Sweep

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def scrape(site: Site) -> Samples:
    answer = site.get("/metrics")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def labelled(name: str, **labels: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    return name, tuple(sorted(labels.items()))


def test_the_state_of_the_whole(site: Site, world: World) -> None:
    found = scrape(site)
    assert found[labelled("tunebook_studies", state="running")] == 2
    assert found[labelled("tunebook_trials", state="queued")] == 1
    assert found[labelled("tunebook_trials", state="running")] == 1
    assert found[labelled("tunebook_workers", state="alive")] == 1
    assert found[labelled("tunebook_worker_slots", state="alive")] == 1
    assert found[labelled("tunebook_workers", state="draining")] == 0
    assert found[labelled("tunebook_queue_trials")] == 1
    assert found[labelled("tunebook_queue_oldest_seconds")] > 0
    assert found[labelled("tunebook_leases_expired")] == 0
    assert found[labelled("tunebook_database_connections_most")] == 20
    assert 0 <= found[labelled("tunebook_database_connections_used")] <= 20
    with site.engine.begin() as connection:
        connection.execute(
            text("UPDATE trials SET lease_expires_at = now() - interval '1 s' WHERE epoch > 0")
        )
        connection.execute(
            text("UPDATE trials SET queued_at = now() - interval '1 h' WHERE state = 'queued'")
        )
        connection.execute(text("UPDATE workers SET last_seen_at = now() - interval '1 h'"))
    found = scrape(site)
    assert found[labelled("tunebook_leases_expired")] == 1
    assert 3_590 < found[labelled("tunebook_queue_oldest_seconds")] < 3_700
    assert found[labelled("tunebook_workers", state="silent")] == 1


def test_requests_and_points_are_counted(site: Site, world: World) -> None:
    before = scrape(site)
    route = {"route": "/api/v1/trials/{trial_id}:report", "method": "POST"}
    batch = {"epoch": 1, "sequence": 9, "series": {"m": {"step": [7, 8, 9], "value": [1, 2, 3]}}}
    for _ in range(2):  # a repetition brings no point
        ok(site.post(f"/api/v1/trials/{world.trial}:report", batch, by="trial"))
    problem(site.post(f"/api/v1/trials/{world.trial}:report", {}, by="trial"), 422)
    after = scrape(site)

    def more(name: str, **labels: str) -> float:
        return after[labelled(name, **labels)] - before.get(labelled(name, **labels), 0)

    assert more("tunebook_http_requests_total", **route, status="2xx") == 2
    assert more("tunebook_http_requests_total", **route, status="4xx") == 1
    assert more("tunebook_http_request_seconds_count", **route) == 3
    assert more("tunebook_ingested_points_total") == 3
    assert more("tunebook_ingested_bytes_total") > 100


def test_nobody_can_add_a_series(site: Site, world: World) -> None:
    for path in ("/api/v1/nothing-1", "/x" * 900, "/api/v1/studies/9999999", "/%22%0a"):
        site.get(path)
    site.request("GET", "/api/v1/me", by="owner")
    site.request("BREW", "/api/v1/me")
    created(site.post("/api/v1/projects", {"name": 'evil"} 1\\'}))
    ok(
        site.post(
            "/api/v1/workers:register", {"name": "gpu", "slots": 1, "labels": {"evil": "1"}}, by="worker"
        )
    )
    first = scrape(site)
    for number in range(20):
        site.get(f"/api/v1/nothing-{number}")
        site.get(f"/api/v1/trials/{number + 1}")
        created(site.post("/api/v1/projects", {"name": f"project of a test {number}"}))
    again = scrape(site)
    assert len(again) <= len(first) + 40  # a route that was not asked before: its buckets
    assert not any("evil" in str(key) or "nothing" in str(key) for key in again)
    assert labelled("tunebook_http_requests_total", route="unmatched", method="GET", status="4xx") in again
    for name, _ in again:
        assert re.match(r"tunebook_|python_|process_", name), name


def test_a_scraper_reads_nothing_else(site: Site, world: World) -> None:
    site.tokens["scraper"] = created(
        site.post("/api/v1/tokens", {"name": "prometheus", "scopes": ["metrics:read"]})
    )["token"]
    assert site.get("/metrics", by="scraper").status_code == 200
    problem(site.get(f"/api/v1/studies/{world.study}", by="scraper"), 403)
    problem(site.get("/metrics", by=None), 401)
    problem(site.get("/metrics", by="worker"), 403)


def test_control_workers_tell_through_the_database(site: Site, world: World) -> None:
    def broken(engine: object) -> None:
        raise RuntimeError("on purpose")

    def useful(engine: object) -> int:
        return 3

    one = Sweep(site.engine, seconds=1, steps=(useful, broken))
    other = Sweep(site.engine, seconds=1, steps=(useful,))
    for sweep in (one, one, other):
        sweep.pass_once()
        sweep._tell()
    found = scrape(site)
    assert found[labelled("tunebook_control_passes_total", part="sweep")] == 3
    assert found[labelled("tunebook_control_done_total", part="useful")] == 9
    assert found[labelled("tunebook_control_failures_total", part="broken")] == 2
    assert found[labelled("tunebook_control_seconds_total", part="sweep")] > 0
    assert 0 <= found[labelled("tunebook_control_pass_age_seconds", part="sweep")] < 60
    assert labelled("tunebook_hints_total", sender="control", result="sent") in found
