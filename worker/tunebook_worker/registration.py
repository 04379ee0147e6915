"""The worker's own row at the server: registered at start, seen every beat, stopped at the end."""

import importlib.metadata
import socket
import threading
import uuid
from collections.abc import Callable

from tunebook.api import Api, full_jitter
from tunebook.errors import ApiError, Conflict, Forbidden, Invalid, NotFound, Unauthenticated, Unreachable
from tunebook_worker.app import Hearing
from tunebook_worker.log import note, warn
from tunebook_worker.options import Options
from tunebook_worker.slots import Slots

_FOR_GOOD = (Unauthenticated, Forbidden, Conflict, Invalid)
"""A wrong token, another worker's name, a name that is none."""
_NOT_OURS_OR_NOT_YET = ("http_", "in_progress")
"""Codes of a proxy's page in place of these, and of a request whose first copy is being worked on."""


class Registration(threading.Thread):
    def __init__(
        self,
        options: Options,
        api: Api,
        slots: Slots,
        *,
        drain: Callable[[], None],
        hearing: Hearing,
    ) -> None:
        super().__init__(name="registration", daemon=True)
        self._options, self._api, self._slots, self._drain = options, api, slots, drain
        self._hearing = hearing
        self._ended = threading.Event()
        self.worker_id = 0
        self._started_at = ""
        """Names this registration: what is said under it, and arrives late, says nothing of the next one."""

    def register(self) -> None:
        """Waits for the server as long as it takes; raises ApiError when it says no for good."""
        attempt = 0
        # Under a key: a copy of the request that arrives late does not revive a worker that has left by then.
        key = {"Idempotency-Key": uuid.uuid4().hex}
        while True:
            try:
                row = self._api.post("/workers:register", self._card(), headers=key)
                self.worker_id, self._started_at = int(row["id"]), str(row["started_at"])
                self._slots.worker_id = self.worker_id
                note(
                    "registered", worker_id=self.worker_id, name=self._options.name, slots=self._options.slots
                )
                return
            except (ApiError, Unreachable) as error:
                if isinstance(error, _FOR_GOOD) and not error.code.startswith(_NOT_OURS_OR_NOT_YET):
                    raise
                warn("the server does not register us yet", detail=str(error))
            self._ended.wait(full_jitter(attempt, cap=5.0))
            attempt += 1

    def run(self) -> None:
        while not self._ended.wait(self._options.beat_seconds):
            try:
                held = {"running": self._slots.running(), "waiting": self._slots.waiting()}
                body = {**held, "started_at": self._started_at}
                answer = self._api.post(f"/workers/{self.worker_id}:beat", body)
                self._slots.withdraw(answer["stop"])
                if answer.get("drain"):
                    self._drain()
                self._hearing.follow(answer["queues"], has_room=self._slots.has_room)
            except NotFound as error:
                self._register_again(error)
            except (ApiError, Unreachable) as error:
                warn("beat failed", detail=str(error))

    def end(self) -> None:
        self._ended.set()
        try:
            said = {"started_at": self._started_at}
            self._api.post(f"/workers/{self.worker_id}:stopped", said, timeout_seconds=2.0)
        except (ApiError, Unreachable) as error:
            warn("the server was not told that we stop", detail=str(error))

    def _register_again(self, error: NotFound) -> None:
        """The server forgot us: its database was restored from before we came."""
        warn("the server does not know this worker any more", detail=str(error))
        try:
            self.register()
        except ApiError as refusal:
            warn("the server does not register us again", detail=str(refusal))

    def _card(self) -> dict[str, object]:
        engine = self._options.engine
        return {
            "name": self._options.name,
            "host": socket.gethostname(),
            "slots": self._options.slots,
            "gpus": len(self._options.gpus) if engine is None else engine.gpus,
            "cpus": self._options.cpus if engine is None else engine.cpus,
            "labels": dict(self._options.labels),
            "version": importlib.metadata.version("tunebook"),
        }
