"""Forms of the pages: urlencoded bodies, read without another parser to install."""

import re
from collections.abc import Mapping
from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import Depends, Request

from tunebook_server.domain.document import show
from tunebook_server.domain.errors import Invalid

FIELDS_MOST = 5_000
WHOLE = re.compile(r"[+-]?[0-9]{1,18}")


async def fields(request: Request) -> dict[str, str]:
    """The fields of the body; of several of one name the last. Raises Invalid for what is no form."""
    body = await request.body()
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=FIELDS_MOST, errors="strict")
    except ValueError:
        raise Invalid("the form cannot be read", remedy="Send it again.") from None
    if any("\x00" in name or "\x00" in value for name, value in pairs):
        raise Invalid("the form holds a NUL character", remedy="Leave it out.")
    # Browsers send line ends as CRLF.
    return {name: value.replace("\r\n", "\n") for name, value in pairs}


def whole(text: str, *, field: str) -> int:
    """Raises Invalid for what is no whole number; its range is the service's."""
    if not WHOLE.fullmatch(text.strip()):
        raise Invalid(f"{field} is {show(text)}", field=field, remedy="Give a whole number.")
    return int(text)


def number(text: str, *, field: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise Invalid(f"{field} is {show(text)}", field=field, remedy="Give a number.") from None


Fields = Annotated[Mapping[str, str], Depends(fields)]
