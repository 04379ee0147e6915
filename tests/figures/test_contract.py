"""What every kind of figure promises, over studies of every sort: real trials in a real database, drawn by
the services as the pages draw them.
"""

import base64
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import plotly.graph_objects as go
import psycopg
import pytest
from numpy.typing import NDArray
from sqlalchemy import Engine, text

from tests.services.making import ACTOR, make_study
from tunebook_server.domain.constraint import Constraint
from tunebook_server.domain.lifecycle import Claim
from tunebook_server.domain.objective import Direction, Objective
from tunebook_server.domain.search_space import SearchSpace
from tunebook_server.domain.study import Study
from tunebook_server.domain.system_metrics import BY_NAME
from tunebook_server.embedded.postgres import Postgres
from tunebook_server.figures import theme
from tunebook_server.pages.catalogue import CATALOGUE, Entry, chosen, entries
from tunebook_server.services import figures, metrics, studies, trials
from tunebook_server.storage.engine import connect, transaction

HOSTILE = "<img src=x onerror=alert(1)>%{y}$a$&amp;"
CHOICES = ("plain", HOSTILE, "c" * 120)
SPACE = [
    {"name": "state", "type": "categorical", "choices": list(CHOICES), "role": "scientific"},
    {"name": "number", "type": "integer", "low": 1, "high": 3, "role": "scientific"},
    {"name": "rate", "type": "float", "low": 1e-4, "high": 1.0, "scale": "log"},
    {"name": "tiny", "type": "float", "low": 1e-300, "high": 1e300, "scale": "log"},
    {"name": "huge", "type": "float", "low": -1e300, "high": 1e300, "when": {"state": ["plain"]}},
    {"name": "fast", "type": "boolean"},
]
RUNNING = 2
RUNGS = {"min_steps": 2, "max_steps": 100, "reduction_factor": 3}
TURNS = {"interval": 10, "max_steps": 100}
SYMBOLS = {"feasible": "circle", "infeasible": "x-thin", "top": "star", "running": "circle-open"}


@dataclass(frozen=True)
class Case:
    """A study: the objective of each ended trial in order, None where it is infeasible; two more run."""

    losses: Sequence[float | None]
    direction: Direction = "minimize"
    choices: Sequence[str] = CHOICES
    running: int = RUNNING
    metric: str = field(default=HOSTILE)
    design: Mapping[str, Any] = field(default_factory=dict)


def usual(count: int) -> list[float | None]:
    random = np.random.default_rng(count)
    return [None if place % 7 == 6 else float(value) for place, value in enumerate(random.random(count))]


EXTREMES = [
    1e300,
    -1e300,
    1.7e308,
    -1.7e308,
    5e-324,
    -5e-324,
    0.0,
    -0.0,
    1e-310,
    None,
    np.nan,
    np.inf,
    -np.inf,
]
CASES: Mapping[str, Case] = {
    "empty": Case([], running=0),
    "one": Case([0.5], running=0),
    "usual": Case(usual(48)),
    "maximised": Case(usual(48), direction="maximize"),
    "all infeasible": Case([None] * 12, running=0),
    "one scientific value": Case(usual(20), choices=CHOICES[:1]),
    "equal objectives": Case([0.5] * 12),
    "extremes": Case(EXTREMES * 3),
    "wide": Case([10.0**power for power in range(-300, 301, 25)]),
    "halved": Case(usual(48), design={"scheduler": "hyperband", "scheduler_options": RUNGS}),
    "a population": Case(usual(12), design={"scheduler": "pbt", "scheduler_options": TURNS}),
    "constrained": Case(usual(30), design={"constraints": (Constraint("grad/norm", high=2.0),)}),
    "diverged": Case([*usual(40), 1e300, -1e300, 1e38, 1e39]),
}


@dataclass(frozen=True)
class Drawn:
    entry: str
    options: Mapping[str, str]
    document: Mapping[str, Any]

    @property
    def words(self) -> str:
        return f"{self.entry} {dict(self.options)}"


@pytest.fixture(scope="module")
def engine(postgres: Postgres) -> Iterator[Engine]:
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute("CREATE DATABASE contract TEMPLATE template")
    engine = connect(postgres.url("contract"))
    yield engine
    engine.dispose()


@pytest.fixture(scope="module", params=CASES)
def study(request: pytest.FixtureRequest, engine: Engine) -> Study:
    case = CASES[request.param]
    random = np.random.default_rng(1)
    space = SearchSpace.parse(SPACE)
    configurations = [
        {
            **space.from_unit(random.random(len(space.dimensions))),
            "state": case.choices[place % len(case.choices)],
        }
        for place in range(len(case.losses) + case.running)
    ]
    for configuration in configurations:
        if configuration["state"] == "plain":
            configuration.setdefault("huge", 1e300)
        else:
            configuration.pop("huge", None)
    study = make_study(
        engine,
        launched=False,
        space=space,
        objective=Objective(case.metric, case.direction),
        budget=max(len(configurations), 1),
        parallel=max(len(configurations), 1),
        **case.design,
        **(
            {"sampler": "manual", "sampler_options": {"configurations": configurations}}
            if configurations
            else {}
        ),
    )
    asked = len(configurations)
    if asked:
        for place, claim in enumerate(
            trials.ask(engine, study_id=study.id, client_id="c", count=asked, actor=ACTOR)
        ):
            _train(engine, claim, case, place)
    return studies.get(engine, study_id=study.id)


def _train(engine: Engine, claim: Claim, case: Case, place: int) -> None:
    ended = place < len(case.losses)
    loss = case.losses[place] if ended else 0.4
    values = np.array([1.0, np.nan if loss is None else loss])
    series = {case.metric: (np.array([1, 20 + place]), values), "grad/norm": (np.array([1, 2]), values)}
    series["system/cpu_percent"] = series["system/gpu0/power_watts"] = (np.array([1, 400]), values)
    metrics.report(engine, trial_id=claim.trial.id, epoch=1, sequence=0, series=series, content_hash=b"h")
    if ended:
        state = "infeasible" if loss is None else "completed"
        trials.finish(engine, trial_id=claim.trial.id, epoch=1, state=state)


def every_figure(engine: Engine, study: Study) -> list[Drawn]:
    """Each kind that the study's page offers, with its first choices and each other choice by itself."""
    asked = [(entry.kind, options) for entry in entries(study) for options in _each_choice(entry, study)]
    if study.best_trial_id is not None:
        asked.append(("trial-curves", {"trial": str(study.best_trial_id)}))
        asked += [("system", {"trial": str(study.best_trial_id), "panel": panel}) for panel in BY_NAME]
    return [Drawn(kind, options, _draw(engine, study, kind, options)) for kind, options in asked]


def _each_choice(entry: Entry, study: Study) -> list[dict[str, str]]:
    query = [{choice.name: value} for choice in entry.choices for value, _ in choice.options(study)]
    found = [chosen(entry, study, each) for each in (query or [{}])]
    return [
        {name: value for name, value in options.items() if value}
        for options in found
        if options.get("x", "") != options.get("y")
    ]


def _draw(engine: Engine, study: Study, kind: str, options: Mapping[str, str]) -> Mapping[str, Any]:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    lit = {**options, "theme": "light"}
    document: dict[str, Any] = json.loads(
        figures.figure(engine, study_id=study.id, kind=kind, options=lit), parse_constant=refuse
    )
    return document


def numbers_of(node: Any) -> Iterator[NDArray[Any]]:
    """Every typed array of a figure."""
    if isinstance(node, dict):
        if "bdata" in node:
            yield np.frombuffer(base64.b64decode(node["bdata"]), node["dtype"])
        for child in node.values():
            yield from numbers_of(child)
    elif isinstance(node, list):
        for child in node:
            yield from numbers_of(child)


def words_of(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict | list):
        for key, child in node.items() if isinstance(node, dict) else enumerate(node):
            if key not in ("meta", "legendgroup"):  # for our own script, which shows it as text; never shown
                yield from words_of(child)


def test_figures_are_plotly_s_and_finite(engine: Engine, study: Study) -> None:
    for drawn in every_figure(engine, study):
        go.Figure(drawn.document)  # Plotly's schema finds misspelt properties
        for array in numbers_of(drawn.document["data"]):
            assert not np.isinf(array).any(), drawn.words
        for name, axis in drawn.document["layout"].items():
            if name.startswith(("xaxis", "yaxis")) and "range" in axis:
                low, high = axis["range"]
                assert low != high, (drawn.words, name)


def test_user_text_is_escaped(engine: Engine, study: Study) -> None:
    for drawn in every_figure(engine, study):
        for word in words_of(drawn.document):
            assert "<img" not in word, drawn.words
            assert "$a$" not in word, drawn.words
            assert "onerror=alert(1)&gt;%{y}" not in word, drawn.words
            assert "&amp;amp" in word or "$\u200b&amp" not in word, drawn.words
        assert all(len(note) < 400 for note in drawn.document["layout"]["meta"]["notes"]), drawn.words


def test_marks_mean_the_same_in_every_figure(engine: Engine, study: Study) -> None:
    for drawn in every_figure(engine, study):
        layout = drawn.document["layout"]
        for trace in drawn.document["data"]:
            role = re.sub(r"^best \d$", "top", trace.get("name", ""))
            if trace.get("mode") != "markers" or role not in SYMBOLS or drawn.entry == "isolation":
                continue
            colour = "feasible" if role == "running" else role
            mark = trace["marker"]
            assert mark["symbol"] == SYMBOLS[role], drawn.words
            shown = mark["line"]["color"] if role == "infeasible" else mark["color"]
            on_a_surface = drawn.entry in ("contour", "feasibility") and role == "feasible"
            if not on_a_surface:  # which is as blue itself
                assert shown == theme.LIGHT[f"figure-{colour}"], (drawn.words, role)
            if role == "infeasible" and "yaxis2" in layout:
                assert trace["yaxis"] == "y2", drawn.words
                assert layout["yaxis2"]["domain"][1] == 1, drawn.words


def test_the_order_of_the_rows_does_not_count(engine: Engine, study: Study) -> None:
    before = [each for each in every_figure(engine, study) if each.entry != "timeline"]  # its bars grow
    with transaction(engine) as connection:
        ids = connection.execute(
            text("SELECT id FROM trials WHERE study_id = :id"), {"id": study.id}
        ).scalars()
        for trial_id in np.random.default_rng(5).permutation(list(ids)).tolist():
            # Postgres writes a changed row anew: behind those that were changed before.
            connection.execute(text("UPDATE trials SET note = note WHERE id = :id"), {"id": trial_id})
    fresh = connect(engine.url.render_as_string(hide_password=False))
    try:
        after = [each for each in every_figure(fresh, study) if each.entry != "timeline"]
        assert after == before
    finally:
        fresh.dispose()


def test_no_column_of_a_table_replaces_another(engine: Engine, study: Study) -> None:
    """Two hyperparameters are called like columns of a trial."""
    for drawn in every_figure(engine, study):
        table = figures.table(engine, study_id=study.id, kind=drawn.entry, options=dict(drawn.options))
        assert len({len(column) for column in table.values()}) == 1, drawn.words
        if {"trial_id", "state"} <= set(table):
            assert set(table["state"]) <= {"completed", "infeasible", "running"}, drawn.words
            assert table["number"] == list(range(len(table["number"]))), drawn.words
            given = {value for value in drawn.options.values() if value in ("state", "number")}
            assert {f"parameters.{key}" for key in given} <= set(table), drawn.words


def test_the_catalogue_offers_every_kind() -> None:
    assert {entry.kind for entry in CATALOGUE} | {"trial-curves", "system"} == set(figures.KINDS)
