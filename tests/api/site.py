"""The real application in this process, on a real database, spoken to over ASGI by whoever the test names."""

import asyncio
import itertools
import threading
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx
from fastapi import FastAPI
from sqlalchemy import Engine

from tunebook_server.app import create_app
from tunebook_server.services import access
from tunebook_server.settings import Settings

HOST = "http://localhost"
_names = itertools.count()
T = TypeVar("T")

DESIGN: dict[str, Any] = {
    "name": "optimizer",
    "goal": "Which optimizer trains best?",
    "objective": {"metric": "valid/error"},
    "sampler": {"name": "halton", "seed": 7},
    "budget": {"trials": 40, "parallel": 4},
    "space": [
        {"name": "optimizer", "type": "categorical", "choices": ["sgd", "adam"], "role": "scientific"},
        {"name": "learning_rate", "type": "float", "low": 1e-4, "high": 1.0, "scale": "log"},
        {"name": "momentum", "type": "float", "low": 0.0, "high": 0.99, "when": {"optimizer": ["sgd"]}},
    ],
}


class Site:
    """`tokens` by name: "owner", "worker", "trial"; `request(…, by=None)` is anonymous."""

    def __init__(self, engine: Engine, settings: Settings | None = None) -> None:
        self.engine = engine
        self.app: FastAPI = create_app(engine, settings or Settings())
        self.tokens: dict[str, str] = {}
        self._loop = asyncio.new_event_loop()
        # Of its own thread: Playwright keeps a loop running in the main one.
        self._thread = threading.Thread(target=self._loop.run_forever, name="site", daemon=True)
        self._thread.start()
        self._open = AsyncExitStack()
        self._client = self.run(self._start())

    async def _start(self) -> httpx.AsyncClient:
        await self._open.enter_async_context(self.app.router.lifespan_context(self.app))
        transport = httpx.ASGITransport(self.app)
        return await self._open.enter_async_context(httpx.AsyncClient(transport=transport, base_url=HOST))

    def close(self) -> None:
        self.run(self._open.aclose())
        self.run(self._loop.shutdown_default_executor())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        by: str | None = "owner",
        headers: Any = None,
        **content: Any,
    ) -> httpx.Response:
        return self.run(self.send(method, path, by=by, headers=headers, **content))

    async def send(
        self,
        method: str,
        path: str,
        *,
        by: str | None = "owner",
        headers: Any = None,
        **content: Any,
    ) -> httpx.Response:
        bearer = {"Authorization": f"Bearer {self.tokens[by]}"} if by else {}
        self._client.cookies.clear()
        return await self._client.request(method, path, headers={**bearer, **(headers or {})}, **content)

    def together(self, *requests: tuple[str, str, dict[str, Any]]) -> list[httpx.Response]:
        """(method, path, options) each, all at once."""

        async def send_all() -> list[httpx.Response]:
            return await asyncio.gather(*(self.send(m, path, **options) for m, path, options in requests))

        return self.run(send_all())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, json: Any = None, **options: Any) -> httpx.Response:
        return self.request("POST", path, json={} if json is None else json, **options)

    def patch(self, path: str, json: Any, **options: Any) -> httpx.Response:
        return self.request("PATCH", path, json=json, **options)

    def session(self) -> dict[str, str]:
        """Headers of a logged-in browser on a page of this very site."""
        code = access.issue_login_code(self.engine)
        secret, _ = access.login(self.engine, code=code, address=f"10.0.0.{next(_names) % 250}")
        cookie = f"{self.app.state.cookie_name}={secret}"
        return {"Cookie": cookie, "Sec-Fetch-Site": "same-origin"}


@dataclass
class World:
    """One of everything: a launched study with a queued trial, a study asked by a loop with a held one."""

    project: int
    template: int
    launched: int
    queued: int
    study: int
    trial: int
    worker: int
    round: int


def populate(site: Site) -> World:
    """Fills an empty site through its own API, and gives it the three tokens."""
    site.tokens["owner"] = access.create_owner_token(site.engine, name="test")
    project = created(site.post("/api/v1/projects", {"name": f"project {next(_names)}"}))["id"]
    template = created(
        site.post(
            f"/api/v1/projects/{project}/job-templates",
            {"name": "train", "argv": ["python", "train.py"], "folder": "/srv"},
        )
    )["id"]
    studies = f"/api/v1/projects/{project}/studies"
    launched = created(site.post(studies, {**DESIGN, "job": {"template": "train"}}))["id"]
    queued = created(site.post(f"/api/v1/studies/{launched}/trials", {}))["id"]
    study = created(site.post(studies, DESIGN))["id"]
    (claim,) = ok(site.post(f"/api/v1/studies/{study}/trials:ask", {"client_id": "loop"}))["trials"]
    site.tokens["trial"] = claim["token"]
    site.tokens["worker"] = access.create_worker_token(site.engine, name="gpu")
    worker = ok(site.post("/api/v1/workers:register", {"name": "gpu", "slots": 1}, by="worker"))["id"]
    trial = claim["trial"]["id"]
    report = {"epoch": 1, "sequence": 0, "series": {"valid/error": {"step": [1, 2], "value": [0.5, 0.25]}}}
    ok(site.post(f"/api/v1/trials/{trial}:report", report, by="trial"))
    round_id = created(site.post(f"/api/v1/projects/{project}/rounds", {"name": "optimizer"}))["id"]
    return World(project, template, launched, queued, study, trial, worker, round_id)


def ok(response: httpx.Response) -> Any:
    assert response.status_code == 200, response.text
    return response.json()


def created(response: httpx.Response) -> Any:
    assert response.status_code == 201, response.text
    return response.json()


def problem(response: httpx.Response, status: int | None = None, code: str | None = None) -> dict[str, Any]:
    """The problem document of a refusal, its shape checked."""
    document: dict[str, Any] = response.json()
    assert response.headers["content-type"] == "application/problem+json", response.text
    assert response.status_code >= 400
    assert status in (None, response.status_code), response.text
    assert document["status"] == response.status_code
    assert code in (None, document["code"]), response.text
    assert document["type"] == f"urn:tunebook:problem:{document['code']}"
    assert document["title"]
    assert document["detail"]
    assert {"field", "remedy"} <= document.keys()
    assert all({"field", "problem", "remedy"} == fault.keys() for fault in document["faults"])
    return document
