"""A network between a client and the application that loses, doubles, delays and reorders on purpose."""

import asyncio
import random
from collections import Counter

import httpx

FAULTS = ("error before", "answer lost", "doubled", "delayed", "overtaken", "late again")
"""Never sent; done, but not answered; sent twice at once; slow; behind a later one; not answered, and
delivered once more when others have long gone through."""
LATE_BEHIND = 5
"""Requests that go through before a late copy does."""


class Network(httpx.AsyncBaseTransport):
    """`share`: of each fault. Safe methods go through unharmed."""

    def __init__(self, inner: httpx.AsyncBaseTransport, chance: random.Random, share: float) -> None:
        self.inner, self.chance = inner, chance
        self.shares = [share] * len(FAULTS)
        self.happened: Counter[str] = Counter()
        self._passed, self._moved = 0, asyncio.Condition()
        self._late: set[asyncio.Task[None]] = set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        if request.method in ("GET", "HEAD"):
            return await self._send(request)
        fate = self.chance.choices((*FAULTS, ""), (*self.shares, 1 - sum(self.shares)))[0]
        self.happened[fate] += 1
        match fate:
            case "error before":
                raise httpx.ConnectError("on purpose")
            case "answer lost" | "late again":
                await self._send(request)
                if fate == "late again":
                    self._late.add(asyncio.create_task(self._later(request)))
                raise httpx.ReadTimeout("on purpose")
            case "doubled":
                answers = await asyncio.gather(self._send(request), self._send(request))
                return self.chance.choice(answers)
            case "delayed":
                await asyncio.sleep(self.chance.uniform(0.0, 0.02))
            case "overtaken":
                await self._behind(1)
        return await self._send(request)

    async def settle(self) -> None:
        """Until every late copy has arrived."""
        await asyncio.gather(*self._late)

    async def _later(self, request: httpx.Request) -> None:
        await self._behind(LATE_BEHIND)
        await self._send(request)

    async def _behind(self, others: int) -> None:
        """After so many others, or a moment later where there are none."""
        goal = self._passed + others
        try:
            async with asyncio.timeout(0.2), self._moved:
                await self._moved.wait_for(lambda: self._passed >= goal)
        except TimeoutError:
            pass

    async def _send(self, request: httpx.Request) -> httpx.Response:
        copy = httpx.Request(request.method, request.url, headers=request.headers, content=request.content)
        answer = await self.inner.handle_async_request(copy)
        await answer.aread()
        async with self._moved:
            self._passed += 1
            self._moved.notify_all()
        return answer
