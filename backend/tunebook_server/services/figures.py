"""The figures of a study: bounded reads, computed and drawn, as Plotly JSON; and the numbers behind each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tunebook_server.domain.errors import NotFound
from tunebook_server.domain.search_space import SearchSpace
from tunebook_server.domain.trial import Configuration
from tunebook_server.figures import preview
from tunebook_server.figures.figure import Figure
from tunebook_server.services import (
    comparison_figures,
    curve_figures,
    insight_figures,
    model_figures,
    pareto_figures,
    scheduler_figures,
    studies,
    system_figures,
    timelines,
    trial_columns,
    trial_figures,
)
from tunebook_server.services.drawn import once
from tunebook_server.services.figure_kinds import Across, Asked, AskedAcross, Kind, Table
from tunebook_server.services.figure_options import Options
from tunebook_server.storage.engine import Engine

TABLE_ROWS = 10_000
KINDS: Mapping[str, Kind] = {
    **trial_figures.KINDS,
    **curve_figures.KINDS,
    **comparison_figures.KINDS,
    **insight_figures.KINDS,
    **system_figures.KINDS,
    **timelines.KINDS,
    **scheduler_figures.KINDS,
    **model_figures.KINDS,
    **pareto_figures.KINDS,
}


@dataclass(frozen=True, slots=True)
class Prepared:
    """A figure before it is drawn; `version` is the same word as long as the figure stays the same."""

    version: str
    json: Callable[[], str]


def figure(engine: Engine, *, study_id: int, kind: str, options: Mapping[str, str]) -> str:
    """Plotly JSON of one figure; raises as `prepare` does."""
    return prepare(engine, study_id=study_id, kind=kind, options=options).json()


def prepare(engine: Engine, *, study_id: int, kind: str, options: Mapping[str, str]) -> Prepared:
    """`theme`: light or dark; without it, colours are names of CSS variables.

    Raises NotFound for an unknown kind, hyperparameter or trial, Invalid for an option that it has not (the
    last not before it is drawn).
    """
    found, read = _kind(kind), Options(options)
    asked = _ask(engine, study_id, read)
    return _prepared(
        engine, kind, options, read=read, version=found.version(asked), draw=lambda: found.draw(asked)
    )


def prepare_across(engine: Engine, *, kind: str, options: Mapping[str, str]) -> Prepared:
    """A figure of the studies or trials that the options name; raises as `prepare` does, and NotFound for a
    kind that is made of one study only."""
    found, read = _across(kind), Options(options)
    asked = AskedAcross(engine, read)
    return _prepared(
        engine, kind, options, read=read, version=found.version(asked), draw=lambda: found.draw(asked)
    )


def table(engine: Engine, *, study_id: int, kind: str, options: Mapping[str, str]) -> Table:
    """The numbers behind the figure, by column: of all its trials up to `limit`, not of those drawn alone."""
    found, read = _kind(kind), Options(options)
    limit = read.integer("limit", TABLE_ROWS, low=1, high=TABLE_ROWS)
    return found.table(_ask(engine, study_id, read), limit)


def table_across(engine: Engine, *, kind: str, options: Mapping[str, str]) -> Table:
    """The numbers behind a figure of several studies, as `table` has them."""
    found, read = _across(kind), Options(options)
    limit = read.integer("limit", TABLE_ROWS, low=1, high=TABLE_ROWS)
    return found.table(AskedAcross(engine, read), limit)


def sampled(space: SearchSpace, configurations: Sequence[Configuration]) -> str:
    """The preview of a design: Plotly JSON of its configurations, one strip a hyperparameter."""
    return preview.draw(preview.compute(space, configurations)).json()


def _kind(name: str) -> Kind:
    if name not in KINDS:
        raise NotFound(f"there is no figure {name[:40]!r}", remedy=f"Use one of {', '.join(sorted(KINDS))}.")
    return KINDS[name]


def _across(name: str) -> Across:
    across = _kind(name).across
    if across is None:
        kinds = ", ".join(sorted(kind for kind, found in KINDS.items() if found.across))
        remedy = f"Use one of {kinds}, or ask for it of one study."
        raise NotFound(f"{name} is a figure of one study", remedy=remedy)
    return across


def _prepared(
    engine: Engine,
    kind: str,
    options: Mapping[str, str],
    *,
    read: Options,
    version: str,
    draw: Callable[[], Figure],
) -> Prepared:
    palette = read.word("theme", ("", "light", "dark"), "")

    def drawn() -> str:
        figure = draw()
        read.refuse_others()
        return figure.json(palette)

    name = repr((kind, version, sorted(options.items())))
    return Prepared(version, lambda: once(engine, name, drawn))


def _ask(engine: Engine, study_id: int, options: Options) -> Asked:
    study = studies.get(engine, study_id=study_id)
    return Asked(engine, study, trial_columns.read(engine, study), options)
