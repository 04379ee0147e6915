"""One conversation with the broker: what kombu asks of queues, as statements on two tables."""

import json
from contextlib import suppress
from queue import Empty
from typing import TYPE_CHECKING, Any

import psycopg
from kombu.transport import virtual
from psycopg.rows import TupleRow

from tunebook_broker import statements as sql

if TYPE_CHECKING:
    from tunebook_broker.transport import Transport

Parameters = dict[str, Any]


class Channel(virtual.Channel):
    supports_fanout = True
    do_restore = False  # messages are given back in place, not published again

    def __init__(self, connection: "Transport", **options: Any) -> None:
        super().__init__(connection, **options)
        self._unacknowledged_queues: set[str] = set()
        self._transient_queues: set[str] = set()

    def basic_consume(self, queue: str, no_ack: bool, *arguments: Any, **options: Any) -> None:
        if no_ack:
            self._unacknowledged_queues.add(queue)
        self.connection.look_again()
        super().basic_consume(queue, no_ack, *arguments, **options)

    def basic_qos(self, *arguments: Any, **options: Any) -> None:
        self.connection.look_again()
        super().basic_qos(*arguments, **options)

    def basic_ack(self, delivery_tag: int, multiple: bool = False) -> None:
        super().basic_ack(delivery_tag, multiple)
        self._execute(sql.ACK, id=delivery_tag)

    def basic_reject(self, delivery_tag: int, requeue: bool = False) -> None:
        if requeue:
            self.qos.ack(delivery_tag)  # kombu's own reject would publish a copy
            self._execute(sql.GIVE_BACK, ids=[delivery_tag])
        else:
            self.basic_ack(delivery_tag)

    def basic_recover(self, requeue: bool = True) -> None:
        self._give_back_all()

    def close(self) -> None:
        if not self.closed and self.connection is not None:
            with suppress(psycopg.Error):  # a lost connection gives back by itself
                self._give_back_all()
        super().close()

    def _give_back_all(self) -> None:
        self.qos._flush()
        tags = list(self.qos._delivered)
        if tags:
            self.qos._delivered.clear()
            self._execute(sql.GIVE_BACK, ids=tags)

    def _execute(self, statement: str, **parameters: Any) -> list[TupleRow]:
        if self.connection is None:  # a thread that finishes its task after the worker let go of the channel
            raise psycopg.OperationalError("the channel is closed")
        return self.connection.execute(statement, **parameters)  # type: ignore[no-any-return]

    def _get(self, queue: str, timeout: float | None = None) -> Parameters:
        statement = sql.TAKE_AND_FORGET if queue in self._unacknowledged_queues else sql.TAKE
        rows = self._execute(statement, queue=queue)
        if not rows:
            raise Empty
        tag, payload = rows[0]
        payload["properties"]["delivery_tag"] = tag
        return payload  # type: ignore[no-any-return]

    def _put(self, queue: str, message: Parameters, **_: Any) -> None:
        self._put_on([queue], message)

    def _put_fanout(self, exchange: str, message: Parameters, routing_key: str, **_: Any) -> None:
        self._put_on(sorted({queue for _, _, queue in self.get_table(exchange)}), message)

    def _put_on(self, queues: list[str], message: Parameters) -> None:
        expiration_ms = message["properties"].get("expiration")
        self._execute(
            sql.PUT,
            queues=queues,
            priority=self._get_message_priority(message),
            payload=json.dumps(message),
            seconds=None if expiration_ms is None else float(expiration_ms) / 1000,
        )

    def _new_queue(self, queue: str, **options: Any) -> None:
        if options.get("auto_delete") or options.get("exclusive"):
            self._transient_queues.add(queue)

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str | None, queue: str) -> None:
        owner = self.connection.key if queue in self._transient_queues else None
        place = {
            "exchange": exchange,
            "routing_key": routing_key or "",
            "pattern": pattern or "",
            "queue": queue,
        }
        self._execute(sql.BIND, **place, owner=owner)

    def get_table(self, exchange: str) -> list[TupleRow]:
        return self._execute(sql.BINDINGS, exchange=exchange)

    def _size(self, queue: str) -> int:
        return int(self._execute(sql.SIZE, queue=queue)[0][0])

    def _purge(self, queue: str) -> int:
        return int(self.connection.count(sql.PURGE, queue=queue))

    def _delete(self, queue: str, exchange: str, *_: Any, **__: Any) -> None:
        self._execute(sql.UNBIND, queue=queue, exchange=exchange)
        self._purge(queue)
