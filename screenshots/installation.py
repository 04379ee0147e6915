"""A whole Tunebook with real workers, and a window that is logged in to it."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from screenshots.camera import Camera, camera
from tests.browser.window import Site, log_in
from tests.live import Live, tunebook
from tests.template import make_template
from tunebook_server.embedded.postgres import Postgres
from tunebook_server.storage.engine import connect

EXAMPLES = Path(__file__).parents[1] / "examples"


@contextmanager
def installation(folder: Path, **timings: str) -> Iterator[tuple[Live, Camera]]:
    """`folder`: where pictures go; `timings`: settings of all parts."""
    with tempfile.TemporaryDirectory(prefix="tunebook-pictures-") as place, camera(folder) as made:
        postgres = Postgres(Path(place) / "postgres")
        postgres.start()
        try:
            make_template(postgres)
            data = Path(place) / "data"
            data.mkdir()
            with tunebook(postgres, data, **timings) as live:
                engine = connect(live.database_url)
                log_in(made.page.context, Site(live.url, engine, {}))
                engine.dispose()
                yield live, made
        finally:
            postgres.stop()


def run_study(live: Live, name: str) -> None:
    """An example's file, as the command line runs it."""
    argv = [sys.executable, "-m", "tunebook", "study", "run", str(EXAMPLES / name)]
    environment = {"TUNEBOOK_URL": live.url, "TUNEBOOK_TOKEN": live.token, "PATH": os.environ["PATH"]}
    subprocess.run(argv, env=environment, check=True)
