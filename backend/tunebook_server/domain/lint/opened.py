"""A held hyperparameter as one to search: an entry of a search space document round its present value."""

from collections.abc import Mapping

from tunebook_server.domain.document import is_number
from tunebook_server.domain.hyperparameter import Fixed
from tunebook_server.domain.hyperparameter_names import LOGARITHMIC, Kind
from tunebook_server.domain.lint.decades import outwards
from tunebook_server.domain.trial import Value

RATES = (1e-4, 1.0)
"""Learning rates where the present one says nothing, our range: wide enough to hold a wall on one side."""
MOMENTA = (0.9, 0.95, 0.97, 0.99)
"""Worth a run (Smith, "A disciplined approach to neural network hyper-parameters", 2018)."""
BETAS2 = (0.9, 0.99, 0.999, 0.9999)
"""Decades of 1 − β₂, round the 0.999 of Kingma & Ba, "Adam", 2015."""
DECAYS = (1e-6, 1e-3)
"""The coarse grids of weight decay (Smith, 2018) from end to end, but for the shallow models' 1e-2."""
SHARES = (0.0, 0.5)
"""Of dropout."""
SMOOTHINGS = (0.0, 0.2)
"""Of labels, round the usual 0.1 (Szegedy et al., "Rethinking the Inception architecture", 2016)."""
SCHEDULES = ("linear", "cosine")
"""The Deep Learning Tuning Playbook's own defaults."""


def opened(fixed: Fixed, kind: Kind | None) -> Mapping[str, object] | None:
    """None for a kind or a value of which nobody knows what to search."""
    shape = _shape(fixed.value, kind)
    if shape is None:
        return None
    when = {"when": fixed.when.document()} if fixed.when is not None else {}
    return {"name": fixed.name, **shape, "role": "nuisance", **when}


def _shape(value: Value, kind: Kind | None) -> dict[str, object] | None:  # noqa: PLR0911 - one line a kind
    if kind == "schedule":
        return _choices(value, SCHEDULES) if isinstance(value, str) else None
    if not is_number(value):
        return None
    match kind:
        case "momentum" | "beta1":
            return _choices(value, MOMENTA)
        case "beta2":
            return _choices(value, BETAS2)
        case "dropout":
            return _range(value, *SHARES)
        case "label_smoothing":
            return _range(value, *SMOOTHINGS)
        case "learning_rate" | "weight_decay" | "epsilon":
            return _decades(value, kind)
        case "decay_factor" if 0 < value < 1:
            return {"type": "float", "low": value / 2, "high": (1 + value) / 2, "scale": "linear"}
    return None


def _choices(value: Value, usual: tuple[Value, ...]) -> dict[str, object]:
    return {"type": "categorical", "choices": list(dict.fromkeys((value, *usual)))}


def _range(value: float, low: float, high: float) -> dict[str, object]:
    return {"type": "float", "low": min(low, value), "high": max(high, value), "scale": "linear"}


def _decades(value: float, kind: Kind) -> dict[str, object] | None:
    """One decade to each side."""
    assert kind in LOGARITHMIC
    if 1e-200 < value < 1e200:
        low, high = outwards(value / 10, value * 10)
    elif value == 0 and kind != "epsilon":
        low, high = DECAYS if kind == "weight_decay" else RATES
    else:
        return None
    return {"type": "float", "low": low, "high": high, "scale": "log"}
