"""Templates, and how values look in them: short, with the full value on hover."""

import math
import re
import signal
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from fastapi import Request, Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from tunebook_frontend import templates_folder
from tunebook_server.figures.labels import key_words, significant
from tunebook_server.pages import assets

SETTING_LETTERS = 60


def render(request: Request, template: str, *, status: int = 200, etag: str = "", **values: Any) -> Response:
    """The page, or only its live parts where the browser asks for those."""
    content = (
        _environment()
        .get_template(template)
        .render(
            request=request,
            principal=getattr(request.state, "principal", None),
            origin=request.app.state.settings.address,
            parts="x-parts" in request.headers,
            **values,
        )
    )
    headers = {"Vary": "X-Parts", **({"ETag": etag} if etag else {})}
    return HTMLResponse(content, status, headers)


def fragment(template: str, **values: Any) -> str:
    return _environment().get_template(template).render(**values)


def number(value: float | None, digits: int = 4) -> Markup:
    """Four significant digits; where that drops some, all of them on hover."""
    text = significant(value, digits)
    if value is None:
        return Markup('<span class="absent">–</span>')
    full = repr(value)
    if not math.isfinite(value) or text.replace(",", "") == full.removesuffix(".0"):
        return Markup(text)  # noqa: S704 — digits only
    return Markup(f'<span title="{full}">{text}</span>')  # noqa: S704 — digits only


def setting(value: object) -> Markup:
    """The value of a hyperparameter, whatever its type."""
    if value is None:
        return Markup('<span class="absent">–</span>')
    if isinstance(value, bool):
        return Markup("true") if value else Markup("false")
    if isinstance(value, float):
        return number(value)
    text = str(value)
    if len(text) > SETTING_LETTERS:
        return Markup('<span title="{}">{}…</span>').format(text, text[:SETTING_LETTERS])
    return escape(text)


def moment(value: datetime | None) -> Markup:
    """An exact time, which the browser turns into a relative one with the exact one on hover."""
    if value is None:
        return Markup('<span class="absent">–</span>')
    return Markup('<time datetime="{}">{}</time>').format(
        value.isoformat(timespec="seconds"), value.strftime("%Y-%m-%d %H:%M")
    )


def duration(seconds: float | None) -> str:
    """`0.84 s`, `12 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`."""
    if seconds is None or not math.isfinite(seconds):
        return "–"
    if seconds < 10:
        return f"{max(seconds, 0):.2g} s"
    for size, unit, below, small in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= size:
            rest = int(seconds % size // below)
            return (
                f"{int(seconds // size)} {unit} {rest} {small}" if rest else f"{int(seconds // size)} {unit}"
            )
    return f"{seconds:.0f} s"


def size(size_bytes: int | None) -> str:
    """`9 B`, `1.2 kB`, `3.4 GB`, in powers of 1,000 as disks and stores count."""
    if size_bytes is None:
        return "–"
    if size_bytes < 1_000:
        return f"{size_bytes} B"
    power = min((len(str(size_bytes)) - 1) // 3, 5)
    return f"{size_bytes / 1_000**power:.3g} {'kMGTP'[power - 1]}B"


def exit_status(status: int | None) -> str:
    """As a shell's user knows it: a signal by its name."""
    if status is None:
        return "–"
    if status >= 0:
        return str(status)
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"


def address(path: str, **query: str | int | None) -> str:
    """A path with the query parameters that are set, in a stable order."""
    chosen = {name: value for name, value in query.items() if value not in (None, "")}
    return f"{path}?{urlencode(chosen)}" if chosen else path


def python(figure: str) -> str:
    """What makes the figure at this address (absolute; of a study, or of several) anew in a notebook."""
    parts = urlsplit(figure)
    *_, owner, _, kind = parts.path.split("/")
    source = f"client.study({owner})" if owner.isdigit() else "client"
    options = parse_qsl(parts.query, keep_blank_values=True)
    given = "".join(f", {name}={_python_value(name, value)}" for name, value in options)
    return "\n".join(
        (
            "import tunebook",
            "",
            f'client = tunebook.Client("{parts.scheme}://{parts.netloc}")',
            f"{source}.figure({unquote(kind)!r}{given})",
        )
    )


def _python_value(name: str, value: str) -> str:
    if name in ("studies", "trials") and re.fullmatch(r"\d+(,\d+)*", value):
        return f"[{value.replace(',', ', ')}]"
    return repr(value)


def changed(query: Mapping[str, str | Sequence[str]], **changes: str | None) -> str:
    """The query of this page with some parameters changed; an empty or None one leaves."""
    merged = {**query, **changes}
    return "?" + urlencode({name: value for name, value in merged.items() if value}, doseq=True)


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(templates_folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters.update(
        number=number,
        setting=setting,
        moment=moment,
        duration=duration,
        size=size,
        exit_status=exit_status,
        key_words=key_words,
    )
    made.globals.update(
        python=python, asset=assets.url, plotly_url=assets.plotly_url, address=address, changed=changed
    )
    return made
