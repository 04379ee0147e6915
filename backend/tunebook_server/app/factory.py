"""The application, put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from anyio.to_thread import current_default_thread_limiter
from fastapi import Depends, FastAPI

from tunebook_server.api import problems
from tunebook_server.api.access import cookie_name
from tunebook_server.api.asking import Asking
from tunebook_server.api.events import Feed
from tunebook_server.api.meter import Meter
from tunebook_server.api.routes import routes
from tunebook_server.app.admission import Admission
from tunebook_server.app.body_limit import BodyLimit
from tunebook_server.app.compression import LEAST_BYTES, LEVEL, Compression
from tunebook_server.app.envelope import Envelope
from tunebook_server.app.forwarded import Forwarded
from tunebook_server.app.gate import Gate
from tunebook_server.app.visitor import visitor
from tunebook_server.pages import router as pages
from tunebook_server.settings import Settings
from tunebook_server.storage.engine import POOL_SIZE, Engine


def create_app(engine: Engine, settings: Settings) -> FastAPI:
    """The API, the pages and the static files on one engine."""
    app = FastAPI(
        title="Tunebook",
        version="1",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=_lifespan,
        routes=routes,
    )
    secure = settings.public_url.startswith("https://")
    app.state.engine = engine
    app.state.settings = settings
    app.state.secure = secure
    app.state.cookie_name = cookie_name(secure=secure, port=settings.port)
    app.state.asking = Asking(engine)
    app.state.feed = Feed(engine)
    app.state.meter = Meter()
    app.state.keyed_requests = anyio.CapacityLimiter(POOL_SIZE // 2)
    problems.install(app)
    app.include_router(pages, dependencies=[Depends(visitor)])
    # The last one added is the outermost. Assets come compressed; event streams are left alone.
    app.add_middleware(Compression, minimum_size=LEAST_BYTES, compresslevel=LEVEL)
    app.add_middleware(BodyLimit)
    app.add_middleware(Admission)
    app.add_middleware(Gate, settings=settings, cookie_name=app.state.cookie_name)
    app.add_middleware(Envelope, secure=secure, meter=app.state.meter)
    app.add_middleware(Forwarded, trusted=settings.trusted_proxies)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    # A thread without a connection could only wait for one.
    current_default_thread_limiter().total_tokens = POOL_SIZE
    yield
