"""The thin client against servers, proxies and things that are neither."""

import base64
import gzip
import json
import pickle
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from socket import create_server, socket

import pytest

import tunebook
from tunebook.api import Api
from tunebook.errors import Busy, Unreachable, refusal

Answering = Callable[[socket], None]
Listen = Callable[[Answering], str]
LENGTH_10 = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"


class Proxy(BaseHTTPRequestHandler):
    """Answers for whatever it is asked to fetch, and remembers what and by whom."""

    protocol_version = "HTTP/1.1"
    asked: list[tuple[str, str]] = []  # noqa: RUF012 — of the server that the fixture makes

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers.get("Proxy-Authorization", "")))
        self.send_response(200)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"null")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    Proxy.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def ask(url: str) -> object:
    with closing(Api(url, "token", timeout_seconds=2.0)) as api:
        return api.get("/me")


def test_a_proxy_of_the_environment_is_asked_with_its_password(
    proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://me%40home:p%3Aw@{proxy}")
    assert ask("http://tunebook.invalid") is None
    words = base64.b64encode(b"me@home:p:w").decode()
    assert Proxy.asked == [("http://tunebook.invalid/api/v1/me", f"Basic {words}")]


@pytest.mark.parametrize("excepted", ["tunebook.invalid", ".invalid", "*"])
def test_no_proxy_is_heeded(proxy: str, monkeypatch: pytest.MonkeyPatch, excepted: str) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy)
    monkeypatch.setenv("NO_PROXY", excepted)
    with pytest.raises(Unreachable):
        ask("http://tunebook.invalid")
    assert Proxy.asked == []


def test_this_machine_is_asked_without_a_proxy(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    assert ask(f"http://{proxy}") is None
    with pytest.raises(Unreachable):
        ask("http://tunebook.invalid")


@pytest.fixture
def closed() -> "Queue[None]":
    """Holds one for each connection that `listen` has answered and closed."""
    return Queue()


@pytest.fixture
def listen(closed: "Queue[None]") -> Iterator[Listen]:
    listeners = []

    def listening(answer: Answering) -> str:
        listener = create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    answer(connection)
                closed.put(None)

        threading.Thread(target=serve, daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield listening
    for listener in listeners:
        listener.close()


@pytest.mark.parametrize(
    "answer",
    [b"", b"SSH-2.0-OpenSSH\r\n", LENGTH_10 + b"short", LENGTH_10.replace(b"\r\n\r\n", b"\r\n")],
    ids=["nothing", "another protocol", "a body cut short", "no end of the head"],
)
def test_half_an_answer_is_none(listen: Listen, answer: bytes) -> None:
    url = listen(lambda connection: connection.sendall(answer))
    with pytest.raises(Unreachable, match=f"No answer from {url}: "):
        ask(url)


def test_a_body_that_is_not_what_its_head_says(listen: Listen) -> None:
    head = LENGTH_10.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n")
    with pytest.raises(Unreachable):
        ask(listen(lambda connection: connection.sendall(head + b"0123456789")))


def test_a_compressed_answer_is_whole_however_it_is_cut(listen: Listen) -> None:
    content = list(range(200_000))
    body = gzip.compress(json.dumps(content).encode())
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n".encode()

    def pieces(connection: socket) -> None:
        connection.sendall(head)
        for at in range(20):
            connection.sendall(body[at : at + 1])
        for at in range(20, len(body), 1009):
            connection.sendall(body[at : at + 1009])

    assert ask(listen(pieces)) == content


def test_a_redirect_is_not_followed(listen: Listen) -> None:
    moved = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n"
    with pytest.raises(Busy, match="302 Found, not as Tunebook does"):
        ask(listen(lambda connection: connection.sendall(moved)))


def test_a_connection_that_the_server_has_closed_is_opened_again(
    listen: Listen, closed: "Queue[None]"
) -> None:
    url = listen(lambda connection: connection.sendall(LENGTH_10.replace(b"10", b"4") + b"null"))
    with closing(Api(url)) as api:
        for _ in range(3):
            assert api.get("/me") is None
            closed.get(timeout=60)


def test_a_question_on_a_connection_that_just_closed_is_asked_again(listen: Listen) -> None:
    asked = []

    def once(connection: socket) -> None:
        connection.sendall(LENGTH_10.replace(b"10", b"4") + b"null")
        asked.append(connection.recv(65536).split(b" ")[0])

    with closing(Api(listen(once))) as api:
        for _ in range(3):
            assert api.get("/me") is None
        assert asked == [b"GET", b"GET"]
        with pytest.raises(Unreachable):
            api.post("/studies")
    assert asked == [b"GET", b"GET", b"POST"]


@pytest.mark.parametrize("url", ["tunebook.invalid", "ftp://tunebook.invalid", "http://[::1", "http://", ""])
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(tunebook.Unreachable, match="No answer from"):
        ask(url)


def test_an_error_comes_out_of_another_process_whole() -> None:
    """As multiprocessing sends it; one that cannot be read there hangs the pool."""
    problem = {"code": "fenced", "detail": "too late", "field": "epoch", "remedy": "Stop."}
    error = refusal(409, problem)
    error.retry_after_seconds = 2.0
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is tunebook.Fenced
    assert (str(again), again.faults, again.retry_after_seconds) == (str(error), error.faults, 2.0)
