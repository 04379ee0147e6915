"""A new study, from a form or a TOML; beside it what is wrong, what is unwise, and what would be sampled."""

import json
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse

from tunebook_server import broker
from tunebook_server.domain.changes import parse
from tunebook_server.domain.changes_applied import applied
from tunebook_server.domain.errors import Fault, Invalid, NotFound
from tunebook_server.domain.findings.thresholds import THRESHOLDS
from tunebook_server.domain.lint import Advice, lint
from tunebook_server.domain.option import by_name
from tunebook_server.domain.samplers import SAMPLERS
from tunebook_server.domain.samplers.automatic import AUTO
from tunebook_server.domain.schedulers import SCHEDULERS
from tunebook_server.domain.study import StudyDesign
from tunebook_server.pages import design
from tunebook_server.pages.form import Fields
from tunebook_server.pages.rendering import fragment, render
from tunebook_server.pages.route import Database, PageRoute, Person
from tunebook_server.services import figures, follow_ups, lineage, projects, rounds, templates
from tunebook_server.services import studies as service
from tunebook_server.storage.engine import Engine

router = APIRouter(route_class=PageRoute)

_SAMPLERS = {
    "halton": "Halton",
    "sobol": "Sobol",
    "bayesian": "Bayesian",
    "tpe": "TPE",
    "cma_es": "CMA-ES",
}
SAMPLER_OPTIONS = [(name, _SAMPLERS.get(name, name)) for name in ("halton", AUTO, *list(SAMPLERS)[1:])]
_SCHEDULERS = {
    "asha": "ASHA",
    "hyperband": "Hyperband",
    "bohb": "BOHB",
    "median": "median rule",
    "pbt": "PBT",
}
SCHEDULER_OPTIONS = [(name, _SCHEDULERS.get(name, name)) for name in SCHEDULERS]
PREVIEWED = 100
ROUNDS = 200
START: Mapping[str, Any] = {
    "name": "learning rate",
    "goal": "Which learning rate trains best?",
    "objective": {"metric": "valid/loss", "direction": "minimize", "evaluation": "best"},
    "sampler": {"name": "halton", "seed": 0},
    "budget": {"trials": 24, "parallel": 2, "attempts": 3},
    "space": [
        {
            "name": "learning_rate",
            "type": "float",
            "low": 1e-4,
            "high": 1.0,
            "scale": "log",
            "role": "nuisance",
        },
        {"name": "batch_size", "type": "fixed", "value": 64},
    ],
}
Id = Annotated[int, Path(ge=1, lt=2**63)]
CHANGES_LONGEST = 50_000  # characters; longer addresses are cut by proxies
Changes = Annotated[str | None, Query(max_length=CHANGES_LONGEST)]
OfRound = Annotated[int | None, Query(alias="round", ge=1, lt=2**63)]
Source = Annotated[int | None, Query(alias="from", ge=1, lt=2**63)]


@router.get("/projects/{project_id}/studies/new")
def new(
    request: Request,
    project_id: Id,
    engine: Database,
    _: Person,
    *,
    mode: str = "form",
    source: Source = None,
    changes: Changes = None,
    of_round: OfRound = None,
) -> Response:
    """Filled in with an example, with an earlier study (`from`), or with what follows that study (`changes`:
    a JSON list, several proposals one after another); for a `round`, where one is given."""
    document = START if source is None else _drafted(engine, project_id, source, changes)
    if of_round is not None:
        document = {**document, "round": of_round}
    return _page(request, engine, project_id, mode, document=document)


@router.post("/projects/{project_id}/studies/new")
def create(request: Request, project_id: Id, engine: Database, principal: Person, fields: Fields) -> Response:
    """Makes the study; or, on `turn`, shows the design the other way, on `mend` with one advice taken."""
    try:
        document = design.read(fields)
        if "turn" in fields:
            return _page(request, engine, project_id, fields["turn"], document=document)
        if "mend" in fields:
            document = _mended(StudyDesign.parse(document), fields["mend"])
            return _page(request, engine, project_id, fields.get("mode", "form"), document=document)
        principal.require("study:write")
        parsed = StudyDesign.parse(document)
        if parsed.template is not None:
            principal.require("run:launch")
        made = service.create(engine, project_id=project_id, design=parsed, actor=principal.actor)
    except Invalid as error:
        return _page(
            request, engine, project_id, fields.get("mode", "form"), sent=fields, faults=error.faults
        )
    broker.wake(made.id)
    return RedirectResponse(f"/studies/{made.id}", 303)


@router.post("/projects/{project_id}/studies/preview")
def preview(project_id: Id, engine: Database, _: Person, fields: Fields) -> Response:
    """Faults, or what changes against the studies that it follows, warnings, advice, and a figure of what
    would be sampled first."""
    faults: tuple[Fault, ...] = ()
    warnings: tuple[Fault, ...] = ()
    advices: list[Advice] = []
    compared: list[lineage.Comparison] = []
    figure, count, parsed = None, 0, None
    try:
        parsed = StudyDesign.parse(design.read(fields))
        warnings, advices = parsed.warnings(), lint(parsed)
        compared = lineage.compare(engine, project_id=project_id, design=parsed)
        configurations = service.preview(parsed, PREVIEWED)
        figure, count = json.loads(figures.sampled(parsed.space, configurations)), len(configurations)
    except Invalid as error:
        faults = error.faults
    html = fragment(
        "preview.html",
        faults=faults,
        warnings=warnings,
        advices=advices,
        design=parsed,
        count=count,
        compared=compared,
    )
    return JSONResponse({"html": html, "figure": figure})


def _mended(parsed: StudyDesign, name: str) -> dict[str, object]:
    """With the advice of this name followed; as it was where that is not given (any more)."""
    advice = next((advice for advice in lint(parsed) if advice.name == name), None)
    return (applied(parsed, advice.changes) if advice else parsed).document()


def _page(
    request: Request,
    engine: Engine,
    project_id: int,
    mode: str,
    *,
    document: Mapping[str, Any] | None = None,
    sent: Mapping[str, str] | None = None,
    faults: tuple[Fault, ...] = (),
) -> Response:
    """With what was `sent` when that was refused, so that nobody types it again."""
    if document is not None:
        fields, rows = design.to_form(document)
        toml = design.to_toml(document) if mode == "toml" else ""
    else:
        fields = dict(sent or {})
        rows, toml = design.rows(fields), fields.get("toml", "")
    known = templates.page(engine, project_id=project_id, limit=1_000).items
    return render(
        request,
        "new_study.html",
        status=422 if faults else 200,
        project=projects.get(engine, project_id=project_id),
        mode="toml" if mode == "toml" else "form",
        fields=fields,
        rows=rows,
        toml=toml,
        faults=faults,
        samplers=SAMPLER_OPTIONS,
        schedulers=SCHEDULER_OPTIONS,
        sampler_fields=by_name({name: kind.options for name, kind in SAMPLERS.items()}),
        scheduler_fields=by_name({name: kind.options for name, kind in SCHEDULERS.items()}),
        thresholds=THRESHOLDS,
        overriding=any(name.startswith("checks.") and value for name, value in fields.items()),
        round_options=_round_options(engine, project_id, fields),
        template_options=[(name, name) for name in dict.fromkeys(template.name for template in known)],
    )


def _round_options(engine: Engine, project_id: int, fields: dict[str, str]) -> list[tuple[str, str]]:
    """The newest rounds, and the chosen one as it was written where it is none of them. One chosen by name
    is turned into its id, as a document from elsewhere has it."""
    found = [row.round for row in rounds.page(engine, project_id=project_id, limit=ROUNDS).items]
    chosen = fields.get("round", "")
    by_name = {each.name: str(each.id) for each in found}
    chosen = fields["round"] = by_name.get(chosen, chosen)
    options = [(str(each.id), each.name) for each in found]
    known = not chosen or chosen in by_name.values()
    return options if known else [(chosen, f"#{chosen}" if chosen.isdecimal() else chosen), *options]


def _drafted(engine: Engine, project_id: int, source: int, changes: str | None) -> dict[str, object]:
    """The design of a study of this project: to follow it with `changes`, or as it is."""
    if service.get(engine, study_id=source).project_id != project_id:
        raise NotFound(f"there is no study {source} in this project")
    if changes is None:
        return follow_ups.again(engine, study_id=source).document()
    try:
        document = json.loads(changes)
    except (ValueError, RecursionError):
        raise Invalid("changes is not JSON", field="changes", remedy="Follow the proposal's link.") from None
    return follow_ups.draft(engine, study_id=source, changes=parse(document)).design.document()
