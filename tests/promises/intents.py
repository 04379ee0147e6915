"""What people, loops and workers want from the API, one thing after another, each until it is answered."""

import asyncio
import base64
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.api.site import DESIGN

KEY = "Idempotency-Key"


@dataclass
class Actor:
    """Sends over the network until there is an answer; then asks again under the same key, on a good line."""

    site: httpx.AsyncClient
    line: httpx.AsyncClient
    """The same application without a network between."""
    token: str
    checks_keys: bool = True
    intents: Counter[str] = field(default_factory=Counter)
    replays: int = 0

    async def do(self, what: str, method: str, path: str, body: Any, *, keyed: bool = True) -> Any:
        headers = {"Authorization": f"Bearer {self.token}"}
        if keyed:
            headers[KEY] = uuid.uuid4().hex
        self.intents[what] += 1
        answer = await self._until_answered(method, path, body, headers)
        assert answer.status_code in (200, 201), (what, answer.text)
        if keyed and self.checks_keys:
            await self._ask_again(method, path, body, headers, answer)
        return answer.json()

    async def _until_answered(
        self, method: str, path: str, body: Any, headers: dict[str, str]
    ) -> httpx.Response:
        while True:
            try:
                answer = await self.site.request(method, f"/api/v1{path}", json=body, headers=headers)
            except httpx.TransportError:
                continue
            if answer.status_code != 503 and '"in_progress"' not in answer.text:
                return answer
            await asyncio.sleep(0.005)

    async def _ask_again(
        self, method: str, path: str, body: Any, headers: dict[str, str], first: httpx.Response
    ) -> None:
        again = await self._on_a_good_line(method, path, body, headers)
        assert (again.status_code, again.content) == (first.status_code, first.content)
        assert again.headers["idempotent-replay"] == "true"
        other = await self._on_a_good_line(method, path, {**body, "x": 1}, headers)
        assert (other.status_code, other.json()["code"]) == (422, "key_reused"), other.text
        self.replays += 1

    async def _on_a_good_line(
        self, method: str, path: str, body: Any, headers: dict[str, str]
    ) -> httpx.Response:
        while True:
            answer = await self.line.request(method, f"/api/v1{path}", json=body, headers=headers)
            if '"in_progress"' not in answer.text:
                return answer
            await asyncio.sleep(0.005)  # a copy that the network held arrives just now


async def person(actor: Actor, name: str) -> None:
    """Makes a project with all that belongs to it, and edits it."""
    project = (await actor.do("project.create", "POST", "/projects", {"name": name}))["id"]
    template = {"name": name, "argv": ["x"], "folder": "/"}
    await actor.do("template.register", "POST", f"/projects/{project}/job-templates", template)
    round_ = (await actor.do("round.create", "POST", f"/projects/{project}/rounds", {"name": name}))["id"]
    document = {**DESIGN, "name": name, "job": {"template": name}, "budget": {"trials": 100, "parallel": 4}}
    study = (await actor.do("study.create", "POST", f"/projects/{project}/studies", document))["id"]
    await actor.do("study.edit", "PATCH", f"/studies/{study}", {"round": round_})
    for turn in range(3):
        for what, path in (
            ("project.edit", f"/projects/{project}"),
            ("study.edit", f"/studies/{study}"),
            ("round.edit", f"/rounds/{round_}"),
        ):
            text = {"conclusion" if what == "round.edit" else "note": f"{name} {turn}"}
            await actor.do(what, "PATCH", path, text)
    made = [await actor.do("trial.enqueue", "POST", f"/studies/{study}/trials", {}) for _ in range(4)]
    await actor.do("trial.note", "PATCH", f"/trials/{made[0]['id']}", {"note": name})
    await actor.do("trial.cancel", "POST", f"/trials/{made[0]['id']}:cancel", {})


async def loop(owner: Actor, actor: Actor, study: int, name: str) -> None:
    """Asks for a trial, trains it, finishes it; its numbers and its client id stand for keys."""
    asked = await owner.do(
        "study.ask", "POST", f"/studies/{study}/trials:ask", {"client_id": name}, keyed=False
    )
    (claim,) = asked["trials"]
    actor.token, path = claim["token"], f"/trials/{claim['trial']['id']}"
    await actor.do("start", "POST", f"{path}:start", {"epoch": 1}, keyed=False)
    for turn in range(5):
        text = base64.b64encode(f"{name} {turn}\n".encode()).decode()
        log = {"epoch": 1, "sequence": turn, "content_base64": text}
        await actor.do("log", "POST", f"{path}:log", log, keyed=False)
        series = {"valid/error": {"step": [2 * turn, 2 * turn + 1], "value": [turn / 8, turn / 16]}}
        batch = {"epoch": 1, "sequence": turn, "series": series}
        await actor.do("report", "POST", f"{path}:report", batch, keyed=False)
        await actor.do("beat", "POST", f"{path}:heartbeat", {"epoch": 1}, keyed=False)
        point = {"epoch": 1, "step": 2 * turn, "uri": f"/c/{turn}"}
        await actor.do("checkpoint", "POST", f"{path}:checkpoint", point, keyed=False)
    await actor.do("finish", "POST", f"{path}:finish", {"epoch": 1, "state": "completed"}, keyed=False)


async def worker(actor: Actor, name: str) -> None:
    """Registers, beats and leaves."""
    asked = {"name": name, "slots": 2}
    made = await actor.do("worker.register", "POST", "/workers:register", asked)
    which = {"started_at": made["started_at"]}
    for _ in range(3):
        beat = {"running": [], **which}
        await actor.do("worker.beat", "POST", f"/workers/{made['id']}:beat", beat, keyed=False)
    await actor.do("worker.stopped", "POST", f"/workers/{made['id']}:stopped", which, keyed=False)
