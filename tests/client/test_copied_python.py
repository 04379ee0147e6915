"""The Python that each figure of the dashboard offers to copy makes that figure in a notebook."""

import ast
import html
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from sqlalchemy import Engine

from tests.live import Live
from tests.scale import build
from tunebook.api import Api
from tunebook.figure import Figure
from tunebook_server.pages.catalogue import entries
from tunebook_server.services import access, studies
from tunebook_server.services.figures import KINDS
from tunebook_server.storage.engine import connect

OF_OTHER_DESIGNS = {"rungs", "lineage", "pareto", "hypervolume"}
"""Of schedulers and constraints, which this study has not."""


@pytest.fixture
def database(live: Live) -> Iterator[Engine]:
    engine = connect(live.database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def browser_session(live: Live, database: Engine) -> Iterator[httpx.Client]:
    access.ensure_owner(database)
    with httpx.Client(base_url=live.url, headers={"Origin": live.url}) as session:
        code = access.issue_login_code(database)
        assert session.post("/api/v1/login", json={"code": code}).is_success
        yield session


def evaluated(code: str) -> Any:
    """The value of the last line, as a cell of a notebook shows it."""
    module, names = ast.parse(code), dict[str, Any]()
    last = module.body.pop()
    assert isinstance(last, ast.Expr)
    exec(compile(module, "cell", "exec"), names)
    try:
        return eval(compile(ast.Expression(last.value), "cell", "eval"), names)
    finally:
        names["client"].close()


def sampled(live: Live, study_id: int) -> int:
    """A trial whose host was measured beside it."""
    live.api.patch(f"/studies/{study_id}", {"budget": 100, "state": "running"})
    (claim,) = live.api.post(f"/studies/{study_id}/trials:ask", {"client_id": "loop"})["trials"]
    trial = int(claim["trial"]["id"])
    series = {"system/cpu_percent": {"step": [1, 2], "value": [50.0, 60.0]}}
    with closing(Api(live.url, claim["token"])) as api:
        api.post(f"/trials/{trial}:report", {"epoch": claim["epoch"], "sequence": 0, "series": series})
    return trial


def test_the_copied_python_of_every_kind_makes_its_figure(
    live: Live,
    database: Engine,
    browser_session: httpx.Client,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    study_id = build(database, trials=48, points=10)
    other = build(database, trials=24, points=10)
    best, second = (studies.get(database, study_id=each).best_trial_id for each in (study_id, other))
    pages = [f"/studies/{study_id}", f"/trials/{best}", f"/trials/{sampled(live, study_id)}"]
    pages += [f"/compare?studies={study_id},{other}", f"/compare?trials={best},{second}"]
    offered = entries(studies.get(database, study_id=study_id))
    pages += [f"/studies/{study_id}/plots?kind={entry.kind}" for entry in offered]
    texts = [browser_session.get(page).raise_for_status().text for page in pages]
    pairs = [
        (html.unescape(link), html.unescape(code))
        for text in texts
        for link, code in re.findall(r'data-copy="(http[^"]+)".*?data-copy="(import [^"]+)"', text, re.DOTALL)
    ]
    monkeypatch.setenv("TUNEBOOK_TOKEN", live.api._token)
    monkeypatch.chdir(tmp_path)
    for link, code in dict(pairs).items():
        figure = evaluated(code)
        assert isinstance(figure, Figure)
        light = httpx.URL(link).copy_merge_params({"theme": "light"})
        assert figure.document == browser_session.get(light).json(), link
    kinds = {urlsplit(link).path.rpartition("/")[2] for link, _ in pairs}
    assert kinds == set(KINDS) - OF_OTHER_DESIGNS
