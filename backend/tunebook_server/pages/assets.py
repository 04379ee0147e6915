"""What browsers keep for ever: CSS, modules and plotly.js, under addresses with the hash of the content.

All of our own files stand under one hash, so that modules may import each other by their plain names. The
files are read and compressed once; nothing outside the listing can be asked for.
"""

import gzip
import hashlib
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from importlib import resources

from fastapi import APIRouter, Request, Response

from tunebook_frontend import static_folder
from tunebook_server.domain.errors import NotFound

FOREVER = "public, max-age=31536000, immutable"
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
COMPRESSION_LEVEL = 6


@asynccontextmanager
async def lifespan(_app: object) -> AsyncIterator[None]:
    """Compresses plotly.js while the server starts, so that the first visitor does not wait for it."""
    threading.Thread(target=_assets, name="assets", daemon=True).start()
    yield


router = APIRouter()


@dataclass(frozen=True, slots=True)
class Asset:
    content: bytes
    compressed: bytes
    media_type: str


def url(name: str) -> str:
    """The address of `css/pages.css` or `js/page.js`."""
    return f"/static/{version()}/{name}"


def plotly_url() -> str:
    return f"/static/{_plotly_name()}"


def plotly_source() -> str:
    """The script itself, for a page that is to work without a server."""
    return _plotly().decode()


@router.get("/static/{path:path}")
def asset(request: Request, path: str) -> Response:
    found = _assets().get(path)
    if found is None:
        raise NotFound("there is no such file")
    headers = {"Cache-Control": FOREVER, "Vary": "Accept-Encoding"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
        return Response(found.compressed, headers=headers, media_type=found.media_type)
    return Response(found.content, headers=headers, media_type=found.media_type)


@cache
def _assets() -> dict[str, Asset]:
    own = {f"{version()}/{name}": content for name, content in _files().items()}
    return {
        path: Asset(content, gzip.compress(content, COMPRESSION_LEVEL), TYPES["." + path.rpartition(".")[2]])
        for path, content in {**own, _plotly_name(): _plotly()}.items()
    }


@cache
def _files() -> dict[str, bytes]:
    paths = sorted(path for path in static_folder.rglob("*") if path.suffix in TYPES)
    return {path.relative_to(static_folder).as_posix(): path.read_bytes() for path in paths}


@cache
def version() -> str:
    """Changes with any of our own files."""
    digest = hashlib.sha256()
    for name, content in _files().items():
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:12]


@cache
def _plotly() -> bytes:
    """The script that the plotly wheel carries: figures and browser are of one version."""
    return (resources.files("plotly") / "package_data" / "plotly.min.js").read_bytes()


@cache
def _plotly_name() -> str:
    return f"plotly-{short_hash(_plotly())}.min.js"


def short_hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]
