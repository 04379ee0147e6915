"""A figure of a study in a notebook: Plotly's own JSON, shown by any Jupyter front end that knows Plotly."""

from collections.abc import Mapping
from typing import Any

PLOTLY_MIME = "application/vnd.plotly.v1+json"


class Figure:
    """`document` is what `plotly.io.from_json` and Plotly.js take; Plotly need not be installed here."""

    def __init__(self, document: Mapping[str, Any], address: str) -> None:
        self.document = dict(document)
        self.address = address

    @property
    def notes(self) -> list[str]:
        """Sentences that belong under the figure: what was clipped, what was sampled, what is missing."""
        return list(self.document["layout"]["meta"]["notes"])

    def __repr__(self) -> str:
        return f"<Figure {self.address}>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return {PLOTLY_MIME: self.document, "text/plain": repr(self)}
