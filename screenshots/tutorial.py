"""One real round on the digits, as docs/tutorial.md tells it: `tunebook up`, three studies, a conclusion.

Every click is one that the tutorial names, and every number in its text comes from what this prints.
"""

import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Locator, expect

from screenshots.camera import PATIENCE_MS, Camera, camera

FIRST_STUDY = Path(__file__).parents[1] / "examples/digits_narrow.toml"
CONCLUSION = (
    "With its learning rate tuned, neither optimizer wins in 150 steps: the intervals of their best trials "
    "overlap. SGD with Nesterov momentum wants higher learning rates than Adam does. We stay with it, since "
    "it has fewer hyperparameters to keep tuned."
)
TUNEBOOK = [sys.executable, "-m", "tunebook"]


def take(folder: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="tunebook-tutorial-") as place, camera(folder) as made:
        data = Path(place) / ".tunebook"
        with _up(data) as login:
            tunebook(data, "study", "run", str(FIRST_STUDY), "--wait")
            made.page.goto(login)
            made.page.wait_for_url(lambda url: "/login" not in url)
            _first_study(made, data, login.partition("/login")[0])
            _second_study(made, data)
            _third_study(made, data)
            _report(made, Path(place) / "report.html")


def _first_study(made: Camera, data: Path, site: str) -> None:
    tunebook(data, "study", "check", "1")
    made.page.goto(f"{site}/studies/1")
    made.shoot("tutorial-1-findings", *_header(made), *_findings(made))
    made.shoot("tutorial-1-axis", _figure(made, "axis-learning_rate"))
    made.shoot("tutorial-1-isolation", _figure(made, "isolation-optimizer"))
    _card(made, "Boundary").get_by_role("link", name="Widen").click()
    advice = made.page.locator("#preview [data-rule=range_shared]")
    expect(advice).to_be_visible(timeout=PATIENCE_MS)
    made.shoot("tutorial-1-draft", made.page.locator("aside.beside"))
    advice.get_by_role("button", name="Mend").click()
    expect(made.page.locator("#preview .sound")).to_be_visible(timeout=PATIENCE_MS)
    made.shoot("tutorial-1-mended", made.page.locator("#preview"))
    _create(made, data, 2)


def _second_study(made: Camera, data: Path) -> None:
    made.shoot("tutorial-2-findings", *_header(made), *_findings(made))
    card = _card(made, "Boundary").filter(has_text="nesterov")
    card.get_by_role("link", name="Widen").click()
    expect(made.page.locator("#preview .sound")).to_be_visible(timeout=PATIENCE_MS)
    _create(made, data, 3)


def _third_study(made: Camera, data: Path) -> None:
    made.shoot("tutorial-3-findings", *_findings(made))
    made.shoot("tutorial-3-axes", made.page.locator("#axes"))
    made.shoot("tutorial-3-isolation", _figure(made, "isolation-optimizer"))
    made.page.get_by_role("textbox", name="Conclusion").fill(CONCLUSION)
    with made.page.expect_response(lambda answer: answer.request.method == "POST"):
        made.page.get_by_role("button", name="Save conclusion").click()
    made.page.wait_for_load_state()
    made.page.reload()
    expect(made.page.get_by_role("textbox", name="Conclusion")).to_have_value(CONCLUSION)
    made.shoot("tutorial-3-conclusion", made.page.locator("#conclusion"))


def _report(made: Camera, file: Path) -> None:
    with made.page.expect_download() as download:
        made.page.get_by_role("link", name="Report", exact=True).click()
    download.value.save_as(file)
    made.page.goto(file.as_uri())
    expect(made.page.locator("figure .main-svg").first).to_be_visible(timeout=PATIENCE_MS)
    findings = made.page.locator("li:has(.verdict)")
    made.shoot("tutorial-3-report", made.page.locator("h1"), findings.nth(1), margin=3)


def _create(made: Camera, data: Path, study: int) -> None:
    """Starts the drafted study, which must become this one, and waits for its findings."""
    made.page.get_by_role("button", name="Create the study").click()
    made.page.wait_for_url(re.compile(rf"/studies/{study}$"))
    tunebook(data, "study", "wait", str(study))
    tunebook(data, "study", "check", str(study))
    made.page.reload()


def _header(made: Camera) -> list[Locator]:
    return [made.page.locator(".crumbs"), made.page.locator("#head")]


def _findings(made: Camera) -> list[Locator]:
    return [made.page.locator("#findings h2"), *made.page.locator("article.finding").all()]


def _card(made: Camera, item: str) -> Locator:
    return made.page.locator("article.finding").filter(has=made.page.locator("h3", has_text=item))


def _figure(made: Camera, key: str) -> Locator:
    return made.page.locator(f'figure:has([id="figure-{key}"])')


def tunebook(data: Path, *arguments: str) -> None:
    """A command of the tutorial, on the data folder of this run; what it says is shown."""
    print(f"$ tunebook {' '.join(arguments)}", flush=True)
    subprocess.run([*TUNEBOOK, *arguments, "--data", str(data)], check=True)


@contextmanager
def _up(data: Path) -> Iterator[str]:
    """`tunebook up`, and the address that logs in to it once."""
    argv = [*TUNEBOOK, "up", "--data", str(data), "--port", "0", "--slots", "2"]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        found = (re.search(r"\S+/login#code=\S+", line) for line in process.stdout)
        login = next((match[0] for match in found if match), None)
        if login is None:
            raise SystemExit("`tunebook up` did not start")
        yield login
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate()
