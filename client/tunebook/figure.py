"""A figure of a study in a notebook: Plotly's own JSON, shown by any Jupyter front end that knows Plotly."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

PLOTLY_MIME = "application/vnd.plotly.v1+json"


class Figure:
    """`document` is what `plotly.graph_objects.Figure` and Plotly.js take; Plotly need not be installed here
    unless the figure leaves the notebook, by `show` and `write_html`.
    """

    def __init__(self, document: Mapping[str, Any], address: str) -> None:
        self.document = dict(document)
        self.address = address

    @property
    def notes(self) -> list[str]:
        """Sentences that belong under the figure: what was clipped, what was sampled, what is missing."""
        return list(self.document["layout"]["meta"]["notes"])

    def show(self) -> None:
        """In the browser, or as Plotly is set up to. Raises ImportError where Plotly is not installed."""
        self._drawn().show()

    def write_html(self, path: str | Path) -> None:
        """A page of its own with all of Plotly.js in it, which needs no network. Raises ImportError where
        Plotly is not installed.
        """
        self._drawn().write_html(path)

    def _drawn(self) -> Any:
        try:
            return import_module("plotly.graph_objects").Figure(self.document)
        except ImportError:
            remedy = "run `pip install plotly`, or show the figure in a notebook"
            raise ImportError(f"plotly is not installed: {remedy}", name="plotly") from None

    def __repr__(self) -> str:
        return f"<Figure {self.address}>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return {PLOTLY_MIME: self.document, "text/plain": repr(self)}
