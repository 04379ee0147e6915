"""Conditional requests: 304 for a reader who has it already, 412 for an editor who saw something older.

An ETag has two parts, "VERSION.EDITION". The version changes with everything shown, points of running trials
among them; the edition only with what people edit. If-None-Match compares both, If-Match the edition alone:
else nobody could edit the note of a study while its trials report.
"""

from typing import Annotated, Any

from fastapi import Header, Request, Response

from tunebook_server.api.problems import Refused
from tunebook_server.domain.errors import Invalid

IfMatch = Annotated[
    str | None,
    Header(
        max_length=200,
        description="The ETag that the edit is based on: 412 when someone else has edited since. "
        "Left out, the edit is made whatever came before.",
    ),
]

NOT_MODIFIED: dict[int | str, dict[str, Any]] = {
    304: {"description": "It is still what If-None-Match names."}
}
"""Among the responses of a route that answers conditional reads."""


def etag(version: object, edition: str = "") -> str:
    return f'"{version}.{edition}"' if edition else f'"{version}"'


def is_known(request: Request, tag: str) -> bool:
    """Whether If-None-Match names this very tag."""
    sent = request.headers.get("if-none-match", "")
    return any(part.strip().removeprefix("W/") in (tag, "*") for part in sent.split(","))


def not_modified(tag: str) -> Response:
    return Response(status_code=304, headers={"ETag": tag})


def edition_of(if_match: str | None) -> str | None:
    """The edition that an If-Match names; None for none or for `*`."""
    if if_match is None or if_match.strip() == "*":
        return None
    tag = if_match.strip()
    if len(tag) < 2 or tag[0] != '"' or tag[-1] != '"':
        raise Invalid(
            "If-Match is no ETag", field="If-Match", remedy='Send the ETag as it came, like "17.3f2a".'
        )
    return tag[1:-1].rpartition(".")[2]


def revision_of(if_match: str | None) -> int | None:
    """The edition as the number that it is for projects."""
    edition = edition_of(if_match)
    if edition is None:
        return None
    if not edition.isascii() or not edition.isdigit() or len(edition) > 18:
        raise Refused(412, "stale", "If-Match names no revision of this object.", field="If-Match")
    return int(edition)
