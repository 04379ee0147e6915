"""Pictures of pages: a light window of 1280 pixels, cut to what the docs speak of."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import oxipng
from playwright.sync_api import Browser, FloatRect, Locator, Page, sync_playwright

from tests import chromium

WIDTH, HEIGHT = 1280, 900
MARGIN_PIXELS = 12
PATIENCE_MS = 60_000
DRAWN = """view => view.dataset.state === 'ready' || view.dataset.state === 'failed'"""
FONTS_READY = "() => document.fonts.ready.then(() => true)"


class Camera:
    def __init__(self, browser: Browser, folder: Path) -> None:
        self.folder = folder
        context = browser.new_context(
            viewport={"width": WIDTH, "height": HEIGHT}, device_scale_factor=1, color_scheme="light"
        )
        context.set_default_timeout(PATIENCE_MS)
        self.page: Page = context.new_page()

    def shoot(self, name: str, *parts: Locator, margin: int = MARGIN_PIXELS) -> None:
        """The least rectangle that holds the parts, once every figure in them is drawn."""
        for part in parts:
            self._draw(part)
        boxes = [part.evaluate(PLACE) for part in parts]
        left = max(min(box["left"] for box in boxes) - margin, 0)
        top = max(min(box["top"] for box in boxes) - margin, 0)
        right = min(max(box["right"] for box in boxes) + margin, WIDTH)
        foot = max(box["bottom"] for box in boxes) + margin
        clip: FloatRect = {"x": left, "y": top, "width": right - left, "height": foot - top}
        path = self.folder / f"{name}.png"
        self.page.screenshot(path=path, full_page=True, clip=clip, animations="disabled")
        oxipng.optimize(path, level=4)  # the same pixels in three quarters of the bytes
        print(f"{path}  {path.stat().st_size / 1000:.0f} kB", flush=True)

    def _draw(self, part: Locator) -> None:
        """Figures are drawn when they come into view."""
        part.scroll_into_view_if_needed()
        self.page.wait_for_function(FONTS_READY)
        for view in part.locator("figure-view:visible").all():
            view.scroll_into_view_if_needed()
            self.page.wait_for_function(DRAWN, arg=view.element_handle())
            if view.get_attribute("data-state") == "failed":
                raise SystemExit(f"{self.page.url}: {view.get_attribute('src')} was not drawn")


PLACE = """element => {
  const {left, top, right, bottom} = element.getBoundingClientRect();
  return {left: left + scrollX, top: top + scrollY, right: right + scrollX, bottom: bottom + scrollY};
}"""


@contextmanager
def camera(folder: Path) -> Iterator[Camera]:
    folder.mkdir(parents=True, exist_ok=True)
    with browsing() as browser:
        yield Camera(browser, folder)


@contextmanager
def browsing() -> Iterator[Browser]:
    if chromium.executable() is None:
        raise SystemExit(f"Chromium is missing: {chromium.HOW_TO_GET_IT}.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.executable(), args=list(chromium.FLAGS))
        try:
            yield browser
        finally:
            browser.close()
