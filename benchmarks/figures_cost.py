"""What each kind of figure of a study costs: on the server, and until it stands in Chromium.

Part of `python -m benchmarks.findings_cost`.
"""

import statistics
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlencode

import httpx
import psutil
from playwright.sync_api import sync_playwright

from benchmarks.open_study import CHROMIUM_FLAGS, cpu_seconds, log_in, open_study
from tunebook_server.domain.study import Study
from tunebook_server.pages.catalogue import CATALOGUE, chosen, entries
from tunebook_server.services import access, figures, studies
from tunebook_server.storage.engine import Engine

ANEW = ("", "light", "dark")  # three figures that the server has not kept, of one cost
KEPT_ASKS = 10
OPENS = 2
ASKED = {"contour": {"y": "weight_decay"}}  # the two rates, its defaults, belong to no trial together

Processes = tuple[psutil.Process, psutil.Process]
"""The server's and Postgres's."""


def drawn_on_the_server(
    engine: Engine, study_id: int, address: str, processes: Processes
) -> dict[str, dict[str, float]]:
    """By kind: CPU of one figure drawn anew and of one kept, in ms, and bytes over the wire."""
    access.ensure_owner(engine)
    token = access.create_owner_token(engine, name="benchmark")
    study = studies.get(engine, study_id=study_id)
    headers = {"Authorization": f"Bearer {token}", "Accept-Encoding": "gzip"}
    with httpx.Client(base_url=f"{address}/api/v1/studies/{study_id}", headers=headers, timeout=60) as client:
        _size(client, "history", {"clip": "off"})  # Plotly is imported and the trials are read
        return {kind: _cost(client, kind, _options(study, kind), processes) for kind in figures.KINDS}


def _cost(
    client: httpx.Client, kind: str, options: Mapping[str, str], processes: Processes
) -> dict[str, float]:
    start = [cpu_seconds(process) for process in processes]
    sizes = [_size(client, kind, {**options, "theme": theme}) for theme in ANEW]
    drawn = [cpu_seconds(process) for process in processes]
    for _ in range(KEPT_ASKS):
        _size(client, kind, {**options, "theme": ANEW[0]})
    kept = cpu_seconds(processes[0])
    return {
        "cpu_ms": round(1000 * (drawn[0] - start[0]) / len(ANEW), 1),
        "postgres_cpu_ms": round(1000 * (drawn[1] - start[1]) / len(ANEW), 1),
        "kept_cpu_ms": round(1000 * (kept - drawn[0]) / KEPT_ASKS, 1),
        "bytes": sizes[0],
    }


def _size(client: httpx.Client, kind: str, options: Mapping[str, str]) -> int:
    answer = client.get(f"/figures/{kind}", params={name: word for name, word in options.items() if word})
    assert answer.status_code == httpx.codes.OK, answer.text
    return answer.num_bytes_downloaded


def _options(study: Study, kind: str) -> dict[str, str]:
    """As its page asks for it."""
    if kind == "trial-curves":
        return {"trial": str(study.best_trial_id)}
    entry = next(entry for entry in CATALOGUE if entry.kind == kind)
    return chosen(entry, study, ASKED.get(kind, {}))


def drawn_in_chromium(
    engine: Engine, study_id: int, address: str, processes: Processes, *, profile: Path, chromium: str
) -> dict[str, dict[str, float]]:
    """By kind of the catalogue: ms from the navigation to the figure drawn, and bytes of the whole visit."""
    kinds = [entry.kind for entry in entries(studies.get(engine, study_id=study_id))]
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile, executable_path=chromium, args=CHROMIUM_FLAGS
        )
        log_in(context, address, engine)
        plots = f"{address}/studies/{study_id}/plots"
        pages = {kind: f"{plots}?{urlencode({'kind': kind, **ASKED.get(kind, {})})}" for kind in kinds}
        open_study(context, plots, processes)  # fills the browser's cache
        found = {
            kind: [open_study(context, page, processes) for _ in range(OPENS)] for kind, page in pages.items()
        }
        context.close()
    return {
        kind: {
            "drawn_ms": round(statistics.median(opening.first_plot_ms for opening in openings), 1),
            "visit_bytes": max(opening.bytes_received for opening in openings),
        }
        for kind, openings in found.items()
    }
