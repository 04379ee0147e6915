"""Bodies end at a limit: by their declared length before a byte is read, by their real one after."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tunebook_server.api import problems
from tunebook_server.api.problems import Refused

BODY_BYTES_MOST = 4 << 20
"""A batch of 100,000 points fits; parsed, the worst body of this size takes about 100 MB for a moment."""


class BodyLimit:
    def __init__(self, app: ASGIApp, *, most_bytes: int = BODY_BYTES_MOST) -> None:
        self.app = app
        self.most_bytes = most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD"):
            await self.app(scope, receive, send)
            return
        declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if not declared.isdigit() or int(declared[:20]) > self.most_bytes:
            await problems.of_refusal(self._refusal())(scope, receive, send)
            return
        await self.app(scope, self._counting(receive), send)

    def _counting(self, receive: Receive) -> Receive:
        read_bytes = 0

        async def counted() -> Message:
            nonlocal read_bytes
            message = await receive()
            if message["type"] == "http.request":
                read_bytes += len(message.get("body", b""))
                if read_bytes > self.most_bytes:
                    raise self._refusal()
            return message

        return counted

    def _refusal(self) -> Refused:
        return Refused(413, "too_large", f"A body may have at most {self.most_bytes} bytes.")
