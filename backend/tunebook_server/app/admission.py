"""What jobs send in bulk is let in up to a number; the rest is told to come again, at once and for little.

When many jobs come back together, reports would else fill the queue for threads and connections, and people,
claims and heartbeats would wait behind all of them.
"""

from starlette.types import ASGIApp, Receive, Scope, Send

from tunebook_server.api import problems
from tunebook_server.domain.errors import Unavailable
from tunebook_server.storage.engine import POOL_SIZE

BULK = (":report", ":log")
INSIDE_MOST = 2 * POOL_SIZE
"""Twice the threads: none of them waits for work, and nobody waits for more than two reports of each."""
AGAIN_SECONDS = 1.0
"""Least; clients add their own jitter."""


class Admission:
    def __init__(self, app: ASGIApp, *, most: int = INSIDE_MOST) -> None:
        self.app = app
        self.most = most
        self.inside = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].endswith(BULK):
            await self.app(scope, receive, send)
            return
        if self.inside >= self.most:
            refusal = Unavailable("Many jobs report at once.", code="busy", retry_after_seconds=AGAIN_SECONDS)
            await problems.of_error(refusal)(scope, receive, send)
            return
        self.inside += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self.inside -= 1
