"""A figure as Plotly's own JSON: plain dicts, arrays as base64 the way plotly ≥ 6 sends them.

Building it through `plotly.graph_objects` costs 5 ms a figure (and 0.6 s at the first one) for checks that
the tests make once, with `Figure.plotly()`; a page of ten figures would pay them on every visit.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunebook_server.figures import theme

_CODES = {"float64": "f8", "float32": "f4", "int32": "i4", "int16": "i2", "int8": "i1", "uint8": "u1"}
_WIDEST_INTEGER = 2**31 - 1
_SINGLE = np.finfo(np.float32)


def typed(array: NDArray[Any]) -> dict[str, str]:
    """One array as `{"dtype", "bdata"[, "shape"]}`; 64-bit integers, which no browser reads, are cast."""
    if array.dtype == np.int64:
        fits = array.size == 0 or int(np.abs(array).max()) <= _WIDEST_INTEGER
        array = array.astype(np.int32 if fits else np.float64)
    code = _CODES[array.dtype.name]
    content = np.ascontiguousarray(array, dtype=f"<{code}")
    spec = {"dtype": code, "bdata": base64.b64encode(content.tobytes()).decode("ascii")}
    if array.ndim > 1:
        spec["shape"] = ",".join(str(length) for length in array.shape)
    return spec


def compact(values: NDArray[np.floating[Any]]) -> NDArray[Any]:
    """As float32, which draws the same in half the bytes, where that has room for every size among them."""
    sizes = np.abs(values[np.isfinite(values) & (values != 0)])
    fits = not sizes.size or (sizes.max() <= _SINGLE.max and sizes.min() >= _SINGLE.tiny)
    return values.astype(np.float32) if fits else values


@dataclass(frozen=True, slots=True)
class Figure:
    """`notes` are plain sentences under the figure: what was clipped, what was sampled, what is missing."""

    data: list[dict[str, Any]]
    layout: dict[str, Any]
    notes: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """Plotly's `{"data", "layout"}`; the notes ride in `layout.meta`, which Plotly keeps as it is."""
        return {"data": self.data, "layout": {**self.layout, "meta": {"notes": list(self.notes)}}}

    def json(self, palette: str = "") -> str:
        """`palette` light or dark writes colours; without one the names of the CSS variables stay."""
        document = self.document()
        if palette:
            document = resolved(document, theme.PALETTES[palette])
        return json.dumps(document, separators=(",", ":"), ensure_ascii=False, allow_nan=False)

    def plotly(self, palette: str = "light") -> Any:
        """A `plotly.graph_objects.Figure`, checked by Plotly's schema: for notebooks and tests."""
        import plotly.graph_objects as go

        return go.Figure(resolved(self.document(), theme.PALETTES[palette]))


def resolved(node: Any, palette: Mapping[str, str], key: str = "") -> Any:
    """A copy in which every `…color` property has its colour instead of its name."""
    if isinstance(node, dict):
        return {name: resolved(child, palette, name) for name, child in node.items()}
    if isinstance(node, list):
        return [resolved(child, palette, key) for child in node]
    if key.endswith("color") and isinstance(node, str) and node.startswith("var(--"):
        return palette[node[6:-1]]
    return node
