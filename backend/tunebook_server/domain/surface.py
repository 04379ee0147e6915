"""The objective over two hyperparameters, smoothed from scattered trials: Nadaraya–Watson regression.

The trials are first counted into the cells of a grid, so that ten thousand cost as much as fifty.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CELLS = 40  # a side: cells of about 10 pixels
BANDWIDTH = 0.35  # times trials^(-1/6), Scott's rule in two dimensions for places in [0, 1]
NARROWEST = 1 / CELLS
NEAREST = 0.25  # of the weight of one trial: less is too far from any trial to be drawn


@dataclass(frozen=True, slots=True)
class Side:
    """One hyperparameter as a side of the grid: `units` in [0, 1], NaN where inactive; a choice is a cell."""

    units: NDArray[np.float64]
    choices: int = 0

    @property
    def cells(self) -> int:
        return self.choices or CELLS

    @property
    def centres(self) -> NDArray[np.float64]:
        return np.asarray((np.arange(self.cells) + 0.5) / self.cells, dtype=np.float64)


def interpolate(x: Side, y: Side, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shape (cells of y, cells of x): the weighted mean of the trials near each cell, NaN far from any.

    Trials with a NaN in any of the three are left out; `values` must be finite otherwise.
    """
    here = np.isfinite(x.units) & np.isfinite(y.units) & np.isfinite(values)
    places = [_cell(side, here) for side in (y, x)]
    shape = (y.cells, x.cells)
    flat = places[0] * x.cells + places[1]
    counts = np.bincount(flat, minlength=shape[0] * shape[1]).reshape(shape).astype(float)
    # Sums of losses near 1e308 have no number: a power of two in front costs no digit.
    _, size = np.frexp(np.abs(values[here]).max(initial=0.0))
    heights = np.ldexp(values[here], -size)
    middle = float(np.median(heights)) if here.any() else 0.0
    sums = np.bincount(flat, heights - middle, minlength=shape[0] * shape[1]).reshape(shape)
    width = max(BANDWIDTH * max(int(here.sum()), 1) ** (-1 / 6), NARROWEST)
    down, across = _kernel(y, width), _kernel(x, width)
    weight, total = down @ counts @ across, down @ sums @ across
    near = weight >= NEAREST
    return np.where(near, np.ldexp(middle + total / np.where(near, weight, 1.0), size), np.nan)


def _cell(side: Side, here: NDArray[np.bool_]) -> NDArray[np.int64]:
    return np.clip((side.units[here] * side.cells).astype(np.int64), 0, side.cells - 1)


def _kernel(side: Side, width: float) -> NDArray[np.float64]:
    """Symmetric, 1 on its diagonal; choices have no neighbours."""
    if side.choices:
        return np.eye(side.cells)
    apart = side.centres[:, None] - side.centres[None, :]
    return np.asarray(np.exp(-0.5 * (apart / width) ** 2), dtype=np.float64)
