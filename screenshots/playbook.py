"""The playbook's figures, rebuilt, on the pages of their studies."""

from pathlib import Path

from playwright.sync_api import Locator
from sqlalchemy import Engine

from screenshots.camera import Camera, camera
from screenshots.serving import served
from tests.browser.window import log_in
from tests.playbook import figures
from tunebook_server.domain import changes
from tunebook_server.domain.study import Study
from tunebook_server.services import findings


def take(folder: Path) -> None:
    with served() as (engine, site), camera(folder) as made:
        log_in(made.page.context, site)
        _take(made, engine, site.url)


def _take(made: Camera, engine: Engine, url: str) -> None:
    def opened(study: Study) -> None:
        made.page.goto(f"{url}/studies/{study.id}")

    opened(figures.bad_boundary().study(engine))
    made.shoot("playbook-1-bad", _card(made, "Boundary"))
    opened(figures.good_boundary().study(engine))
    made.shoot("playbook-1-good", _figure(made, "axis-learning_rate"))
    opened(figures.weight_decays().study(engine))
    made.shoot("playbook-2", _figure(made, "isolation-weight_decay"))
    opened(figures.activations(0.01).study(engine))
    made.shoot("playbook-2-winner", _figure(made, "isolation-activation"))
    opened(figures.best_of(100).study(engine))
    made.shoot("playbook-3", _figure(made, "best-of-k"))
    opened(figures.best_of(20).study(engine))
    made.shoot("playbook-3-twenty", _card(made, "Sampling"))
    unstable = figures.unstable().study(engine)
    opened(unstable)
    made.shoot("playbook-7a", _card(made, "Instability"))
    opened(figures.double_check(engine, unstable, _proposal(engine, unstable)))
    made.shoot("playbook-7b", _card(made, "Instability"))


def _card(made: Camera, item: str) -> Locator:
    """The card of a finding, its evidence unfolded."""
    card = made.page.locator("article.finding").filter(has=made.page.locator("h3", has_text=item)).first
    card.locator("summary").click()
    return card


def _figure(made: Camera, key: str) -> Locator:
    return made.page.locator(f'figure:has([id="figure-{key}"])')


def _proposal(engine: Engine, study: Study) -> tuple[changes.Change, ...]:
    kept = findings.get(engine, study_id=study.id)
    assert kept is not None
    (found,) = [item for item in kept.items if item["item"] == "instability"]
    return changes.parse(found["proposal"]["changes"])
