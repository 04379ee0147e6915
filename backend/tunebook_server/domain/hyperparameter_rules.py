"""What a hyperparameter may be called and may hold; each fault says what would be right."""

import re
from typing import Literal

from tunebook_server.domain.document import show, value_problem, value_text
from tunebook_server.domain.errors import Fault
from tunebook_server.domain.trial import Value

Scale = Literal["linear", "log"]
Role = Literal["scientific", "nuisance", "fixed"]

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,99}")
CHOICES_MOST = 1000
INTEGER_LIMIT = 10**12
"""Beyond it a double between 0 and 1 no longer names one integer."""
LOG_LOWEST = 1e-300
NARROWEST = 1e-9
"""Smallest range, as a share of its larger end: below it doubles leave too few values to search."""


def name_and_role_faults(name: object, role: object) -> list[Fault]:
    faults = []
    if not isinstance(name, str) or not NAME.fullmatch(name):
        remedy = "Use up to 100 letters, digits, '_', '.' or '-', starting with a letter or '_'."
        faults.append(Fault("name", f"name is {show(name)}", remedy))
    if role not in ("scientific", "nuisance"):
        remedy = 'Use scientific or nuisance; to hold a value, use type "fixed" with a value.'
        faults.append(Fault("role", f"{name}: role is {show(role)}", remedy))
    return faults


def scale_faults(name: str, scale: object) -> list[Fault]:
    if scale in ("linear", "log"):
        return []
    return [Fault("scale", f"{name}: scale is {show(scale)}", "Use linear or log.")]


def range_faults(name: str, low: float, high: float, *, lowest: float, narrowest: float) -> list[Fault]:
    """`lowest`: where the scale begins; `narrowest`: smallest range as a share of its larger end."""
    faults = []
    if low < lowest:
        remedy = f"Give a low of at least {lowest:g}, or use the linear scale."
        faults.append(Fault("low", f"{name}: low is {show(low)} on a log scale", remedy))
    if low >= high:
        problem = f"{name}: low {show(low)} is not below high {show(high)}"
        faults.append(Fault("low", problem, 'Swap or widen them; for one value use type "fixed".'))
    elif high - low < max(narrowest * max(abs(low), abs(high)), LOG_LOWEST):
        problem = f"{name}: low {show(low)} and high {show(high)} are too close to search between"
        faults.append(Fault("high", problem, 'Widen the range; for one value use type "fixed".'))
    return faults


def choice_faults(name: str, choices: tuple[Value, ...]) -> list[Fault]:
    """Equal choices, and choices that a training command could not tell apart, like 1 and "1"."""
    faults = []
    seen: dict[object, Value] = {}
    for place, choice in enumerate(choices):
        if problem := value_problem(choice):
            remedy = "Give a text of up to 200 characters, a number or a boolean."
            faults.append(Fault(f"choices.{place}", f"{name}: choice {place} {problem}", remedy))
            continue
        twin = seen.get(choice, seen.get(("text", value_text(choice))))
        if twin is not None:
            problem = f"{name}: choices {show(twin)} and {show(choice)} are alike"
            faults.append(Fault(f"choices.{place}", problem, "Leave one of them out."))
        seen[choice] = seen["text", value_text(choice)] = choice
    return faults
