"""PNGs from Plotly JSON, drawn on this machine by a browser of its own: nothing is sent anywhere.

Kaleido drives the browser; plotly.js comes out of the plotly wheel. Both are the `report` extra.
"""

import asyncio
import importlib.util
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tunebook.errors import TunebookError

WIDTH, HEIGHT = 960, 420
SCALE = 2
"""Pixels of the picture to one of the page: sharp on paper."""
SECONDS = 60.0
"""For one figure."""
NO_NETWORK = "127.0.0.1:9"
"""A proxy that is not there: a figure that names an address reaches nobody."""
NO_EXTRA = "Pictures need the report extra: pip install 'tunebook[report]'"
NO_BROWSER = (
    "Pictures need Chromium or Chrome, and none was found: install one (apt-get install chromium), "
    "or name it in BROWSER_PATH. --format html needs none."
)

Drawing = Callable[[Mapping[str, Mapping[str, Any]]], Iterator[tuple[str, bytes]]]


def drawing() -> Drawing:
    """What draws figures by name. Raises TunebookError that says what is missing on this machine."""
    try:
        import kaleido
        from choreographer.errors import ChromeNotFoundError
    except ImportError:
        raise TunebookError(NO_EXTRA) from None
    page = kaleido.PageGenerator(plotly=_plotly().as_uri(), mathjax=False)
    try:
        browser = kaleido.Kaleido(timeout=SECONDS, page_generator=page, proxy_server=NO_NETWORK)
    except ChromeNotFoundError:
        raise TunebookError(NO_BROWSER) from None
    return lambda figures: iter(asyncio.run(_drawn(browser, figures)))


async def _drawn(browser: Any, figures: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, bytes]]:
    drawn = []
    try:
        async with browser:
            for name, figure in figures.items():
                height = figure["layout"].get("height") or HEIGHT
                options = {"format": "png", "width": WIDTH, "height": height, "scale": SCALE}
                drawn.append((name, await browser.calc_fig(dict(figure), opts=options)))
    except (RuntimeError, OSError, TimeoutError) as error:
        raise TunebookError(f"The browser did not draw the pictures: {error}") from error
    return drawn


def _plotly() -> Path:
    """The script in the plotly wheel; importing plotly would take a second."""
    found = importlib.util.find_spec("plotly")
    folders = list(found.submodule_search_locations or ()) if found else []
    for folder in folders:
        script = Path(folder) / "package_data" / "plotly.min.js"
        if script.is_file():
            return script
    raise TunebookError(NO_EXTRA)
