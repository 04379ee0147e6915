"""A real server on a real socket that misbehaves on demand, and keeps what a behaving one would have kept."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

Mode = str
MODES: tuple[Mode, ...] = ("gone", "hang", "loris", "garbage", "portal", "error", "busy", "cut", "reset")
"""Not there; silent; a byte a second; not HTTP; someone else's 200; 500; 429; kept, then no answer; reset."""

GARBAGE = b"\x00\xff HTTP? no.\r\n\r\n" + bytes(range(256))


class UnrulyServer:
    """Answers as `mode` says. In modes "good" and "cut" it keeps what it is sent, once per number."""

    def __init__(self, mode: Mode = "good") -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.requests = 0
        self.batches: dict[int, Any] = {}
        """Series by sequence number."""
        self.mismatches = 0
        self.posted: list[tuple[str, Any]] = []
        """Everything else that was kept, as (verb, body)."""
        self.answers: dict[str, Callable[[Any], tuple[int, Any]]] = {}
        """By the end of the path, for tests that need a particular answer."""
        self._changed = threading.Condition()
        self._open: set[socket.socket] = set()
        self._closing = threading.Event()
        self.mode = mode
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def become(self, mode: Mode) -> None:
        """From now on; connections made before are reset, as when a server is restarted."""
        with self._changed:
            self.mode = mode
            for connection in self._open:
                _cut(connection)
            if mode == "gone":
                _cut(self._listener)  # close alone would leave the thread in accept, and the port open
                self._listener.close()
            elif self._listener.fileno() < 0:
                self._listener = socket.create_server(("127.0.0.1", self.port))
                threading.Thread(target=self._accept, daemon=True).start()

    def points(self) -> dict[str, list[tuple[int, Any]]]:
        """Everything kept, by metric, in sequence order."""
        kept: dict[str, list[tuple[int, Any]]] = {}
        with self._changed:
            for _, series in sorted(self.batches.items()):
                for metric, column in series.items():
                    kept.setdefault(metric, []).extend(zip(column["step"], column["value"], strict=True))
        return kept

    def wait_until(self, condition: Callable[[], bool], seconds: float = 60.0) -> None:
        with self._changed:
            assert self._changed.wait_for(condition, seconds), "the server did not see it in time"

    def close(self) -> None:
        self._closing.set()
        self.become("gone")

    def _accept(self) -> None:
        listener = self._listener
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with self._changed:
                self._open.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection, connection.makefile("rb") as incoming:
                while self._answer(connection, incoming):
                    pass
        except (OSError, ValueError):
            pass
        finally:
            with self._changed:
                self._open.discard(connection)

    def _answer(self, connection: socket.socket, incoming: Any) -> bool:
        request = _read_request(incoming)
        if request is None:
            return False
        path, body = request
        with self._changed:
            self.requests += 1
            self._changed.notify_all()
        match self.mode:
            case "hang":
                self._closing.wait(3600)
                return False
            case "loris":
                while not self._closing.wait(0.2):
                    connection.sendall(b"H")
                return False
            case "garbage":
                connection.sendall(GARBAGE)
                return False
            case "reset":
                _cut(connection)
                return False
            case "portal":
                connection.sendall(_response(200, {"please": "log in to the network"}))
                return True
            case "error":
                connection.sendall(_response(500, {"code": "internal", "detail": "a bug"}))
                return True
            case "busy":
                connection.sendall(_response(429, {"code": "too_many_tries"}, "Retry-After: 1\r\n"))
                return True
        status, content = self._keep(path, body)
        if self.mode == "cut":
            _cut(connection)
            return False
        connection.sendall(_response(status, content))
        return True

    def _keep(self, path: str, body: Any) -> tuple[int, Any]:
        for end, answer in self.answers.items():
            if path.endswith(end):
                return answer(body)
        with self._changed:
            verb = path.rpartition(":")[2]
            if verb == "report":
                if self.batches.setdefault(body["sequence"], body["series"]) != body["series"]:
                    self.mismatches += 1
                    return 409, {"code": "mismatch", "detail": "other content"}
            elif verb != "heartbeat" and (verb, body) not in self.posted:
                self.posted.append((verb, body))
            self._changed.notify_all()
        return 200, {"points": 1, "duplicate": False}


def _read_request(incoming: Any) -> tuple[str, Any] | None:
    line = incoming.readline()
    if not line:
        return None
    length = 0
    while (header := incoming.readline().strip().lower()) != b"":
        if header.startswith(b"content-length:"):
            length = int(header.split(b":")[1])
    content = incoming.read(length)
    if len(content) < length:  # whoever sent it has ended meanwhile
        return None
    return line.split()[1].decode(), json.loads(content) if content else None


def _response(status: int, content: Any, headers: str = "") -> bytes:
    body = json.dumps(content).encode()
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"{head}{headers}\r\n".encode() + body


def _cut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def claim(trial_id: int = 7, *, epoch: int = 1, beat_seconds: float = 15.0) -> dict[str, Any]:
    """What `:ask` answers, for one trial."""
    return {
        "trial": {
            "id": trial_id,
            "number": 3,
            "client_id": "loop",
            "parameters": {"optimizer": "adam", "learning_rate": 0.01},
            "seed": 11,
            "created_at": f"2026-11-21T10:00:00.{time.monotonic_ns() % 10**6:06d}+00:00",
        },
        "token": "tbk_trl_test",
        "epoch": epoch,
        "lease_seconds": 90.0,
        "beat_seconds": beat_seconds,
        "fence_seconds": 75.0,
        "template": None,
        "objective": {"metric": "valid/error", "direction": "minimize", "evaluation": "best"},
        "resume": None,
        "study": {"id": 5, "name": "optimizer"},
        "project": {"id": 1, "name": "digits"},
    }
