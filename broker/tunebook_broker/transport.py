"""A kombu virtual transport over Postgres: SKIP LOCKED takes, LISTEN/NOTIFY waits, locks show who lives."""

import random
import select
import socket
from contextlib import suppress
from queue import Empty
from time import monotonic
from typing import Any

import psycopg
from kombu.transport import virtual
from psycopg.rows import TupleRow

from tunebook_broker import statements as sql
from tunebook_broker.channel import Channel

Connection = psycopg.Connection[TupleRow]

RECOVERY_SECONDS = 5.0
"""A consumer looks this often for what the dead left behind, and for messages whose NOTIFY it missed."""
STATEMENT_TIMEOUT_SECONDS = 10.0


class Transport(virtual.Transport):
    """Two connections: one for statements (from any thread), one that waits (the draining thread's)."""

    Channel = Channel
    can_parse_url = True
    driver_type = "tunebook"
    driver_name = "tunebook_broker"
    connection_errors: tuple[Any, ...] = (
        *virtual.Transport.connection_errors,
        psycopg.OperationalError,
        psycopg.InterfaceError,
    )
    implements = virtual.Transport.implements.extend(exchange_type=frozenset({"direct", "topic", "fanout"}))

    def __init__(self, client: Any, **options: Any) -> None:
        super().__init__(client, **options)
        self.key = 0
        self._statements: Connection | None = None
        self._waiting: Connection | None = None
        self._look_now = True
        self._recovery_due = 0.0

    def driver_version(self) -> str:
        return psycopg.__version__

    def establish_connection(self) -> Any:
        self._close_opened()
        self._statements = self._connect()
        while not self.key:
            key = random.SystemRandom().randrange(1, 2**31)
            held = self._statements.execute(sql.HOLD_KEY, (sql.CONSUMER_LOCKS, key)).fetchone()
            self.key = key if held and held[0] else 0
        return super().establish_connection()

    def close_connection(self, connection: Any) -> None:
        super().close_connection(connection)
        self._close_opened()

    def _close_opened(self) -> None:
        for opened in (self._statements, self._waiting):
            if opened is not None:
                opened.close()
        self._statements = self._waiting = None
        self.key = 0

    def execute(self, statement: str, **parameters: Any) -> list[TupleRow]:
        """Run one statement; `key` is this consumer's."""
        cursor = self._cursor().execute(statement.encode(), {"key": self.key, **parameters})
        return cursor.fetchall() if cursor.description else []

    def count(self, statement: str, **parameters: Any) -> int:
        return self._cursor().execute(statement.encode(), parameters).rowcount

    def look_again(self) -> None:
        self._look_now = True

    def drain_events(self, connection: Any, timeout: float | None = None, **_: Any) -> None:
        """Deliver one message, or raise TimeoutError; an idle consumer only waits for its socket."""
        end = None if timeout is None else monotonic() + timeout
        cycle: Any = self.cycle
        while True:
            if self._look_now or monotonic() >= self._recovery_due:
                self._look_now = False
                self._recover()
                with suppress(Empty):
                    cycle.get(self._deliver, timeout=timeout)
                    self._look_now = True
                    return
            now = monotonic()
            if end is not None and now >= end:
                raise socket.timeout  # noqa: UP041 (what kombu's callers catch by this name)
            self._wait(min(self._recovery_due, end or self._recovery_due) - now)

    def _wait(self, seconds: float) -> None:
        listener = self._listener()
        # psycopg's own wait would wake ten times a second; what came during a recovery was looked for since.
        waiting = select.poll()
        waiting.register(listener.fileno(), select.POLLIN)
        if not waiting.poll(max(seconds, 0.0) * 1000):
            return
        for notice in listener.notifies(timeout=0):
            if notice.payload == str(self.key) or notice.payload in self._callbacks:
                self._look_now = True

    def _recover(self) -> None:
        listener = self._listener()
        if monotonic() < self._recovery_due:
            return
        self._recovery_due = monotonic() + RECOVERY_SECONDS
        with listener.transaction():
            turn = listener.execute(sql.RECOVERY_TURN, (sql.RECOVERY_LOCK,)).fetchone()
            if turn and turn[0]:
                for statement in (sql.DROP_ORPHANED_QUEUES, sql.DROP_EXPIRED, sql.FREE_ORPHANED_MESSAGES):
                    listener.execute(statement.encode())

    def _listener(self) -> Connection:
        if self._waiting is None:
            self._waiting = self._connect()
            self._waiting.execute(sql.LISTEN)
        return self._waiting

    def _cursor(self) -> psycopg.Cursor[TupleRow]:
        if self._statements is None:
            raise psycopg.OperationalError("the broker's connection is closed")
        return self._statements.cursor()

    def _connect(self) -> Connection:
        client: Any = self.client
        options = client.transport_options
        timeout_ms = round(1000 * options.get("timeout_seconds", STATEMENT_TIMEOUT_SECONDS))
        return psycopg.connect(
            client.hostname,
            autocommit=True,
            connect_timeout=max(2, round(client.connect_timeout or 5)),  # psycopg: at least 2 s
            application_name="tunebook broker",
            # The server's side of keep-alive: a consumer whose host vanished is dead to us after a minute.
            options=f"-c statement_timeout={timeout_ms} -c lock_timeout={timeout_ms}"
            " -c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3",
            tcp_user_timeout=timeout_ms,
            keepalives_idle=30,
        )
