"""Whether this process can do its work: for load balancers and `tunebook up`."""

from fastapi import APIRouter

from tunebook_server.api.access import Database, Open
from tunebook_server.api.route import Route
from tunebook_server.api.schemas import Sent
from tunebook_server.services import health as service

router = APIRouter(tags=["server"], route_class=Route)


class Health(Sent):
    status: str = "ok"


@router.get("/health", operation_id="health", dependencies=[Open])
def health(engine: Database) -> Health:
    """Answers 200 when the database answers, 503 otherwise."""
    service.check(engine)
    return Health()
