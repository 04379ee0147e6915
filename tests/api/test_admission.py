"""More reports at once than the server takes are told to come again; nobody else is."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from tests.api.site import HOST
from tunebook_server.app.admission import Admission


def test_reports_beyond_the_room_are_told_to_come_again() -> None:
    leave = asyncio.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"].endswith(":report"):
            await leave.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def scene() -> None:
        transport = httpx.ASGITransport(Admission(slow, most=2))
        async with httpx.AsyncClient(transport=transport, base_url=HOST) as client:
            inside = [asyncio.create_task(client.post(f"/trials/{n}:report")) for n in range(2)]
            await asyncio.sleep(0)
            while (refused := await client.post("/trials/9:log")).status_code == 200:
                await asyncio.sleep(0)
            assert refused.status_code == 503
            assert refused.json()["code"] == "busy"
            assert int(refused.headers["retry-after"]) >= 1
            assert (await client.post("/trials/9:heartbeat")).status_code == 200
            leave.set()
            assert [answer.status_code for answer in await asyncio.gather(*inside)] == [200, 200]
            assert (await client.post("/trials/9:log")).status_code == 200

    with ThreadPoolExecutor(1) as pool:  # a browser of another test may have a loop in this thread
        pool.submit(lambda: asyncio.run(scene())).result()
