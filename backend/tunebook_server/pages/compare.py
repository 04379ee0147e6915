"""Two or more trials, or studies, side by side: is one better than another, and is the comparison fair?"""

from fastapi import APIRouter, Request, Response

from tunebook_server.domain.errors import Invalid
from tunebook_server.pages.compared_studies import show_studies
from tunebook_server.pages.compared_trials import show_trials
from tunebook_server.pages.rendering import render
from tunebook_server.pages.route import Database, PageRoute, Person
from tunebook_server.services.compared import STUDIES_MOST
from tunebook_server.services.figure_options import Options
from tunebook_server.services.trial_comparisons import TRIALS_MOST

router = APIRouter(route_class=PageRoute)


@router.get("/compare")
def compare(request: Request, engine: Database, _: Person) -> Response:
    """`trials` or `studies`: ids between commas, or the name again for each, as a form sends them."""
    query = {name: ",".join(request.query_params.getlist(name)) for name in request.query_params}
    named = [name for name in ("trials", "studies") if query.get(name)]
    if not named:
        return render(request, "compare.html")
    if len(named) > 1:
        raise Invalid("trials or studies, not both", field="trials", remedy="Leave one of them out.")
    if named == ["trials"]:
        return show_trials(request, engine, Options(query).integers("trials", most=TRIALS_MOST), query)
    return show_studies(request, engine, Options(query).integers("studies", most=STUDIES_MOST), query)
