"""The thresholds of the checklist: declared in the items' files, overridden in a study's design."""

import difflib
from collections.abc import Mapping

from tunebook_server.domain.document import STRANGERS_SHOWN, Document, as_integer, is_number, refuse, show
from tunebook_server.domain.errors import Fault
from tunebook_server.domain.findings.checklist import ITEMS
from tunebook_server.domain.findings.threshold import Threshold

FIELD = "checks"
THRESHOLDS: Mapping[str, tuple[Threshold, ...]] = {
    item.ITEM: tuple(value for value in vars(item).values() if isinstance(value, Threshold)) for item in ITEMS
}
"""By item, in the order of its file."""
BY_NAME: Mapping[str, Threshold] = {each.name: each for found in THRESHOLDS.values() for each in found}
NEAR_NAMES = 3
NAME_LONGEST = 100  # characters of a name that similar ones are looked for


def parse(value: object) -> dict[str, float]:
    """Of a study's `checks`. Raises Invalid with fields like "checks.boundary.edge_share"."""
    faults: list[Fault] = []
    found = read(Document(value, field=FIELD, faults=faults))
    refuse(faults)
    return found


def read(part: Document) -> dict[str, float]:
    """By name, in the order of the checklist."""
    strangers = [key for key in part.content if key not in BY_NAME]
    for key in strangers[:STRANGERS_SHOWN]:
        part.fault(show(key), "is no threshold of the checklist", _remedy(key, part.content[key]))
    if len(strangers) > STRANGERS_SHOWN:
        problem = f"has {len(strangers) - STRANGERS_SHOWN} more unknown names"
        part.faults.append(Fault(part.field, f"{FIELD} {problem}", "Leave them out."))
    return {name: _read(part, each) for name, each in BY_NAME.items() if name in part}


def _remedy(key: object, value: object) -> str:
    if isinstance(value, Mapping) and any(name.startswith(f"{key}.") for name in BY_NAME):
        return f'Put the whole name in quotes, as in "{next(iter(BY_NAME))}" = 0.2.'
    near = difflib.get_close_matches(str(key)[:NAME_LONGEST], BY_NAME, n=NEAR_NAMES)
    if near:
        return f"Did you mean {' or '.join(near)}?"
    return f"Use names like {' or '.join(list(BY_NAME)[:NEAR_NAMES])}."


def _read(part: Document, threshold: Threshold) -> float:
    value = part.get(threshold.name)
    number = as_integer(value) if threshold.whole else value
    if not is_number(number) or not threshold.low <= number <= threshold.high:
        kind = "whole number" if threshold.whole else "number"
        remedy = f"Give a {kind} from {threshold.low:g} to {threshold.high:g}"
        part.fault(threshold.name, f"is {show(value)}", f"{remedy}; {threshold.default:g} is the default.")
        return threshold.default
    return number if threshold.whole else float(number)


def overridden(checks: Mapping[str, float], item: str) -> dict[str, float]:
    """Those of an item that differ from their defaults."""
    return {
        each.name: checks[each.name]
        for each in THRESHOLDS[item]
        if checks.get(each.name, each.default) != each.default
    }
