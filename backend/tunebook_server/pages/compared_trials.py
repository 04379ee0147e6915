"""Trials side by side: their facts, what differs between them, and their curves overlaid."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from fastapi import Request, Response

from tunebook_server.domain.families import families
from tunebook_server.domain.study import Study
from tunebook_server.domain.trial import HELD, Trial
from tunebook_server.figures.curves import COLOURED_TRIALS
from tunebook_server.pages.rendering import address, changed, render
from tunebook_server.services import curves, projects, trial_comparisons
from tunebook_server.storage.engine import Engine

FAMILIES_MOST = 6


@dataclass(frozen=True, slots=True)
class Card:
    """One trial; `seconds`: how long it took or has run, None before it started; `without`: the address of
    the comparison of the others; `colour`: of its curves, from 1, 0 for grey."""

    trial: Trial
    study: Study
    name: str
    seconds: float | None
    without: str
    leads: bool
    colour: int


def show_trials(
    request: Request, engine: Engine, trial_ids: Sequence[int], query: Mapping[str, str]
) -> Response:
    found = trial_comparisons.compare(engine, trial_ids=trial_ids)
    first = found.studies[found.trials[0].study_id]
    names = {name for study_id in found.studies for name in curves.metric_names(engine, study_id=study_id)}
    groups = families(names, first=first.objective.metric)[:FAMILIES_MOST]
    shown = {"trials": ",".join(map(str, trial_ids)), "family": query.get("family", "")}
    look = {"smooth": query.get("smooth", "8"), "y": query.get("y", "")}
    return render(
        request,
        "compare_trials.html",
        query=query,
        comparison=found,
        cards=[_card(found, place, query) for place in range(len(found.trials))],
        alone=len(found.trials) == 1,
        study=first if len(found.studies) == 1 else None,
        project=projects.get(engine, project_id=first.project_id),
        different=[row for row in found.rows if row.differs],
        equal=[row for row in found.rows if not row.differs],
        curve_families=[("" if not place else group.name, group.name) for place, group in enumerate(groups)],
        curves=address("/api/v1/figures/curves", **shown, **look),
        csv=address("/api/v1/data/curves", **shown, format="csv"),
        coloured=COLOURED_TRIALS,
    )


def _card(found: trial_comparisons.TrialComparison, place: int, query: Mapping[str, str]) -> Card:
    trial = found.trials[place]
    others = [str(other.id) for other in found.trials if other.id != trial.id]
    end = trial.finished_at or (datetime.now(UTC) if trial.state in HELD else None)
    return Card(
        trial=trial,
        study=found.studies[trial.study_id],
        name=found.name(trial),
        seconds=(end - trial.started_at).total_seconds() if trial.started_at and end else None,
        without="/compare" + changed(query, trials=",".join(others)) if others else "",
        leads=found.lead is not None and found.lead.beyond_luck and found.lead.first == place,
        colour=place + 1 if place < COLOURED_TRIALS else 0,
    )
