"""Every route that is mounted, with an address for each."""

from collections.abc import Iterator
from dataclasses import dataclass

from fastapi.routing import iter_route_contexts

from tests.api.site import Site, World

OPEN = {
    ("GET", "/health"),
    ("POST", "/api/v1/login"),
    ("GET", "/login"),
    ("POST", "/logout"),
    ("GET", "/static/{path:path}"),
}
"""Whoever adds a line here has thought about what it lets strangers do."""
UNSAFE = ("POST", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True)
class Mounted:
    method: str
    template: str
    path: str

    @property
    def is_api(self) -> bool:
        return self.template.startswith("/api/") or self.template == "/metrics"

    @property
    def is_open(self) -> bool:
        return (self.method, self.template) in OPEN


def mounted(site: Site, world: World) -> Iterator[Mounted]:
    """One entry a method; places in the path are filled with what exists."""
    for context in iter_route_contexts(site.app.routes):
        template = context.path
        assert template is not None, context
        for method in sorted(context.methods or ()):
            yield Mounted(method, template, fill(template, world))


def fill(template: str, world: World) -> str:
    for name, value in {
        "{trial_id}": world.trial,
        "{study_id}": world.study,
        "{project_id}": world.project,
        "{template_id}": world.template,
        "{worker_id}": world.worker,
        "{round_id}": world.round,
        "{token_id}": 1,
        "{kind}": "history",
        "{path:path}": "nothing.css",
    }.items():
        template = template.replace(name, str(value))
    assert "{" not in template, f"tests/api/routes.py knows no value for {template}"
    return template
