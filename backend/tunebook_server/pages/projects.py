"""All projects, and one project with its tracking table."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import RedirectResponse

from tunebook_server.domain.project import JobTemplate
from tunebook_server.domain.study import Study
from tunebook_server.domain.trial import Trial
from tunebook_server.pages.form import Fields
from tunebook_server.pages.rendering import render
from tunebook_server.pages.reproduction import command, uncommitted
from tunebook_server.pages.route import Database, PageRoute, Person
from tunebook_server.services import lineage, studies, templates, trials
from tunebook_server.services import projects as service

router = APIRouter(route_class=PageRoute)

ROWS = 50
Id = Annotated[int, Path(ge=1, lt=2**63)]
Cursor = Annotated[str | None, Query(max_length=2_000)]


@dataclass(frozen=True, slots=True)
class StudyRow:
    """A line of the tracking table: what was tried, what came out, and how to run the best of it again."""

    study: Study
    best: Trial | None
    command: str
    changes: str
    follows: Sequence[lineage.Kin]

    @property
    def ended(self) -> int:
        states = ("completed", "infeasible", "stopped", "failed")
        return sum(self.study.counts.get(state, 0) for state in states)


@router.get("/")
def index(request: Request, engine: Database, _: Person, cursor: Cursor = None) -> Response:
    found = service.page(engine, limit=ROWS, cursor=cursor)
    return render(request, "projects.html", page=found)


@router.post("/projects")
def create(engine: Database, principal: Person, fields: Fields) -> Response:
    principal.require("study:write")
    made = service.create(
        engine,
        name=fields.get("name", "").strip(),
        goal=fields.get("goal", "").strip(),
        actor=principal.actor,
    )
    return RedirectResponse(f"/projects/{made.id}", 303)


@router.get("/projects/{project_id}")
def project(request: Request, project_id: Id, engine: Database, _: Person, cursor: Cursor = None) -> Response:
    found = service.get(engine, project_id=project_id)
    page = studies.page(engine, project_id=project_id, limit=ROWS, cursor=cursor)
    best_ids = [study.best_trial_id for study in page.items if study.best_trial_id is not None]
    best = trials.many(engine, trial_ids=best_ids)
    environments = trials.environments(engine, trial_ids=best_ids)
    commands = templates.page(engine, project_id=project_id, limit=1_000).items
    known = {template.id: template for template in commands}
    follows = lineage.followed(engine, study_ids=[study.id for study in page.items])
    rows = [_row(study, best, known, environments, follows[study.id]) for study in page.items]
    return render(request, "project.html", project=found, rows=rows, next=page.next, templates=commands)


@router.post("/projects/{project_id}")
def edit(project_id: Id, engine: Database, principal: Person, fields: Fields) -> Response:
    principal.require("study:write")
    changes = {name: fields[name] for name in ("goal", "note") if name in fields}
    revision = int(fields["revision"]) if fields.get("revision", "").isdecimal() else None
    service.edit(engine, project_id=project_id, revision=revision, changes=changes, actor=principal.actor)
    return RedirectResponse(f"/projects/{project_id}", 303)


def _row(
    study: Study,
    best: Mapping[int, Trial],
    known: Mapping[int, JobTemplate],
    environments: Mapping[int, Mapping[str, object]],
    follows: Sequence[lineage.Kin],
) -> StudyRow:
    found = best.get(study.best_trial_id or 0)
    template = known.get(study.job_template_id or 0)
    argv = command(template, found.parameters) if template and found else ()
    changes = uncommitted(environments.get(found.id, {}) if found else {})
    return StudyRow(study, found, shlex.join(argv), changes, follows)
