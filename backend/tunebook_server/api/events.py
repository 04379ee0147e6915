"""The event stream: says which study changed, so that pages refetch only then."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated

import structlog
from fastapi import Depends, Query, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool

from tunebook_server.api.access import Database, Reader, bearer_of, session_of
from tunebook_server.api.route import router_of
from tunebook_server.api.schemas import INT64_MOST
from tunebook_server.domain.errors import TunebookError
from tunebook_server.services import access, studies
from tunebook_server.services.events import Watch
from tunebook_server.storage.engine import Engine

POLL_SECONDS = 0.5
RECHECK_SECONDS = 3.0
"""A stream outlives its session by this at most."""

router = router_of("events")
log = structlog.get_logger()


@dataclass(eq=False)
class Subscription:
    """What one stream has not told yet: the newest revision by study, however fast they change."""

    study: int | None
    known: dict[int, int] = field(default_factory=dict)
    pending: dict[int, int] = field(default_factory=dict)
    woken: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self, recent: Mapping[int, int]) -> None:
        for study, revision in recent.items():
            if self.study in (None, study) and revision > self.known.get(study, 0):
                self.pending[study] = self.known[study] = revision
                self.woken.set()

    def take(self) -> dict[int, int]:
        taken, self.pending = self.pending, {}
        self.woken.clear()
        return taken


class Feed:
    """One poller a process, and only while someone listens."""

    def __init__(self, engine: Engine) -> None:
        self.closed = False
        self._engine = engine
        self._recent: dict[int, int] = {}
        self._subscriptions: set[Subscription] = set()
        self._poller: asyncio.Task[None] | None = None

    def join(self, subscription: Subscription) -> None:
        """What changed a moment ago is told at once: it may be newer than the page that asks."""
        subscription.tell(self._recent)
        self._subscriptions.add(subscription)
        if self._poller is None or self._poller.done():
            self._poller = asyncio.create_task(self._poll())

    def leave(self, subscription: Subscription) -> None:
        self._subscriptions.discard(subscription)

    def close(self) -> None:
        """Ends all streams: a server that stops would wait for them."""
        self.closed = True
        for subscription in self._subscriptions:
            subscription.woken.set()

    async def _poll(self) -> None:
        watch = Watch(self._engine)
        while self._subscriptions and not self.closed:
            try:
                self._recent = await run_in_threadpool(watch.recent)
            except Exception as error:
                # The database is away: the streams stay open, and tell when it is back.
                log.warning("events_poll_failed", kind=type(error).__name__)
            for subscription in self._subscriptions:
                subscription.tell(self._recent)
            await asyncio.sleep(POLL_SECONDS)


def subscription(
    engine: Database,
    _: Reader,
    study: Annotated[int | None, Query(ge=1, le=INT64_MOST, description="Only this study.")] = None,
    revision: Annotated[
        int | None, Query(ge=0, le=INT64_MOST, description="What is known: a newer one is told at once.")
    ] = None,
) -> Subscription:
    """Raises NotFound before the stream begins."""
    wanted = Subscription(study)
    if study is not None:
        current = studies.get(engine, study_id=study).revision
        if revision is not None:
            wanted.known[study] = revision
            wanted.tell({study: current})
    return wanted


@router.get("/events", operation_id="follow", response_class=EventSourceResponse)
async def follow(
    request: Request, wanted: Annotated[Subscription, Depends(subscription)]
) -> AsyncIterator[ServerSentEvent]:
    """Server-sent events: `event: study`, data {"study": 3, "revision": 17}, for each study that changed."""
    feed: Feed = request.app.state.feed
    clock = asyncio.get_running_loop()
    feed.join(wanted)
    check_at = clock.time() + RECHECK_SECONDS
    try:
        yield ServerSentEvent(comment="following")
        while not feed.closed:
            for study, revision in wanted.take().items():
                yield ServerSentEvent(event="study", data={"study": study, "revision": revision})
            await _woken(wanted, max(0.0, check_at - clock.time()))
            if clock.time() >= check_at:
                if not await run_in_threadpool(_still_allowed, request):
                    return
                check_at = clock.time() + RECHECK_SECONDS
    finally:
        feed.leave(wanted)


async def _woken(wanted: Subscription, timeout_seconds: float) -> None:
    try:
        async with asyncio.timeout(timeout_seconds):
            await wanted.woken.wait()
    except TimeoutError:
        return


def _still_allowed(request: Request) -> bool:
    engine: Engine = request.app.state.engine
    try:
        principal = access.authenticate(engine, bearer=bearer_of(request), session=session_of(request))
        principal.require("study:read")
    except TunebookError:
        return False
    return True
