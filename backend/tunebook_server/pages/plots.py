"""Every figure of a study, one at a time, with its choices in the address."""

from fastapi import APIRouter, Request, Response

from tunebook_server.domain.errors import NotFound
from tunebook_server.pages import assets
from tunebook_server.pages.catalogue import chosen, entries
from tunebook_server.pages.rendering import address, render
from tunebook_server.pages.route import Database, PageRoute, Person
from tunebook_server.pages.studies import Id, Word, hash_of
from tunebook_server.services import projects
from tunebook_server.services import studies as service

router = APIRouter(route_class=PageRoute)


@router.get("/studies/{study_id}/plots")
def plots(request: Request, study_id: Id, engine: Database, _: Person, *, kind: Word = "") -> Response:
    study = service.get(engine, study_id=study_id)
    etag = f'W/"{assets.version()}-{study.id}-{study.revision}-{hash_of(request)}"'
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers={"ETag": etag})
    offered = entries(study)
    entry = next((each for each in offered if each.kind == (kind or offered[0].kind)), None)
    if entry is None:
        raise NotFound(f"this study has no figure {kind[:40]!r}", remedy="Choose one of the list.")
    options = chosen(entry, study, request.query_params)
    path = f"/api/v1/studies/{study.id}"
    return render(
        request,
        "plots.html",
        etag=etag,
        study=study,
        project=projects.get(engine, project_id=study.project_id),
        entries=offered,
        entry=entry,
        choices=[(choice, choice.options(study), options[choice.name]) for choice in entry.choices],
        src=address(f"{path}/figures/{entry.kind}", **options),
        csv=address(f"{path}/data/{entry.kind}", **options, format="csv"),
    )
