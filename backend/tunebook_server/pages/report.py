"""The report of a study: one HTML file with its findings, conclusion and figures, that needs no network."""

import re
from dataclasses import dataclass

from fastapi import APIRouter, Response

from tunebook_frontend import static_folder
from tunebook_server.domain.caveats import caveats
from tunebook_server.domain.study import Study
from tunebook_server.figures.labels import key_words
from tunebook_server.pages import assets
from tunebook_server.pages.findings import checklist
from tunebook_server.pages.rendering import fragment
from tunebook_server.pages.route import Database, PageRoute, Person
from tunebook_server.pages.studies import Id
from tunebook_server.services import figures, findings, projects, trials
from tunebook_server.services import studies as service
from tunebook_server.storage.engine import Engine

router = APIRouter(route_class=PageRoute)

AXES_MOST = 24


@dataclass(frozen=True, slots=True)
class Drawn:
    """A figure with its Plotly JSON, safe inside a script element."""

    title: str
    document: str


@router.get("/studies/{study_id}/report.html")
def report(study_id: Id, engine: Database, _: Person) -> Response:
    """Everything that the study says, to keep, to send, and to read in ten years."""
    study = service.get(engine, study_id=study_id)
    kept = findings.get(engine, study_id=study_id)
    best = None if study.best_trial_id is None else trials.get(engine, trial_id=study.best_trial_id)
    content = fragment(
        "report.html",
        study=study,
        project=projects.get(engine, project_id=study.project_id),
        best=best,
        settings=study.space.locate(best.parameters) if best else {},
        checklist=checklist(study, kept),
        caveats=caveats(study.space, kept.items if kept else ()),
        figures=_figures(engine, study),
        style="".join((static_folder / "css" / name).read_text() for name in ("tokens.css", "pages.css")),
        colors=(static_folder / "js" / "colors.js").read_text(),
        plotly=assets.plotly_source(),
    )
    name = re.sub(r"[^A-Za-z0-9]+", "-", study.name).strip("-")[:60] or "study"
    headers = {"Content-Disposition": f'attachment; filename="{name}-{study.id}.html"'}
    return Response(content, media_type="text/html", headers=headers)


def _figures(engine: Engine, study: Study) -> list[Drawn]:
    drawn = []
    for parameter in study.space.varied[:AXES_MOST]:
        key = study.space.key(parameter)
        name, conditions = key_words(key)
        title = f"{name} ({', '.join(conditions)})" if conditions else name
        drawn.append(_drawn(engine, study, title, "axis", {"parameter": key}))
    for key in map(study.space.key, study.space.varied):
        if study.space.parameter(key).role == "scientific":
            title = f"Best of each {key_words(key)[0]}"
            drawn.append(_drawn(engine, study, title, "isolation", {"parameter": key}))
    drawn.append(_drawn(engine, study, "Best of k trials", "best-of-k", {}))
    drawn.append(_drawn(engine, study, "Training curves of the best", "curves", {"smooth": "8"}))
    drawn.append(_drawn(engine, study, "Optimisation history", "history", {}))
    return drawn


def _drawn(engine: Engine, study: Study, title: str, kind: str, options: dict[str, str]) -> Drawn:
    document = figures.figure(engine, study_id=study.id, kind=kind, options=options)
    # JSON that cannot end the element it stands in, whatever a label holds.
    return Drawn(title, document.replace("<", "\\u003c"))
