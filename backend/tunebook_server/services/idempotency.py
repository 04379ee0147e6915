"""Use case: do a request once, however often it is sent under one Idempotency-Key."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass

from tunebook_server.domain.errors import Conflict, Invalid
from tunebook_server.storage import idempotency
from tunebook_server.storage.engine import Engine, transaction

KEY_LONGEST = 200


class InProgress(Conflict):
    """Another request with this key has not been answered yet."""

    code = "in_progress"


class KeyReused(Invalid):
    """The key came before with another request."""

    code = "key_reused"


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes
    headers: Mapping[str, str]


class Once:
    """One request under a key: `start`, then the use case on `engine`, then `finish` or `give_up`.

    Effect and answer are committed together. So a crash, a lost connection or a failed commit leaves both or
    neither, and sending the same request again is safe in every case.
    """

    def __init__(self, engine: Engine, *, actor: str, key: str, request_hash: bytes) -> None:
        self._engine = engine
        self._actor = actor
        self._key = key
        self._request_hash = request_hash
        self._open = ExitStack()

    def start(self) -> Answer | None:
        """The stored answer, or None: then the work is to be done now, and nobody else is doing it."""
        with ExitStack() as opening:
            self._connection = opening.enter_context(transaction(self._engine))
            if not idempotency.try_lock(self._connection, actor=self._actor, key=self._key):
                raise InProgress(
                    "A request with this Idempotency-Key is being worked on.",
                    remedy="Wait, then send it again.",
                )
            stored = idempotency.find(self._connection, actor=self._actor, key=self._key)
            if stored is None:
                self._open = opening.pop_all()
                return None
        request_hash, status, body, headers = stored
        if request_hash != self._request_hash:
            raise KeyReused(
                "This Idempotency-Key came before with another request.",
                field="Idempotency-Key",
                remedy="Use a new key for a new request.",
            )
        return Answer(status, body, headers)

    @property
    def engine(self) -> Engine:
        """What the use case runs on: its transaction joins the open one."""
        return idempotency.OneTransaction(self._connection).as_engine()

    def finish(self, answer: Answer) -> None:
        """Commits the effect and its answer."""
        with self._open:
            idempotency.store(
                self._connection,
                actor=self._actor,
                key=self._key,
                request_hash=self._request_hash,
                status=answer.status,
                body=answer.body,
                headers=answer.headers,
            )

    def give_up(self) -> None:
        """Rolls back: the key is as if it had never come."""
        with self._open:
            self._connection.rollback()
