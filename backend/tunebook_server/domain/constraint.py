"""Bounds on other metrics than the objective: a trial that ends outside of them is infeasible."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tunebook_server.domain.document import Document
from tunebook_server.domain.errors import Fault
from tunebook_server.domain.study_limits import METRIC_LONGEST

CONSTRAINTS_MOST = 20


@dataclass(frozen=True, slots=True)
class Constraint:
    """`low` and `high`: what the last value of the metric may be, both included; None for no bound."""

    metric: str
    low: float | None = None
    high: float | None = None

    def document(self) -> dict[str, object]:
        bounds = {"min": self.low, "max": self.high}
        return {"metric": self.metric, **{name: value for name, value in bounds.items() if value is not None}}

    def words(self) -> str:
        """`valid/latency_ms ≤ 100`, `0 ≤ x ≤ 1`."""
        low = f"{self.low:.6g} ≤ " if self.low is not None else ""
        high = f" ≤ {self.high:.6g}" if self.high is not None else ""
        return f"{low}{self.metric}{high}"

    def problem(self, value: float) -> str:
        """What is wrong with a last value; empty where nothing is."""
        if math.isnan(value):
            return f"{self.metric} is NaN at the end"
        if self.low is not None and value < self.low:
            return f"{self.metric} is {value:.6g} at the end, below {self.low:.6g}"
        if self.high is not None and value > self.high:
            return f"{self.metric} is {value:.6g} at the end, above {self.high:.6g}"
        return ""


def read(study: Document, objective: str) -> tuple[Constraint, ...]:
    """Of a study's document; every fault goes into it."""
    if "constraints" not in study or study.get("constraints") in ([], ()):
        return ()
    found = [
        _read(Document(entry, field=f"constraints.{place}", faults=study.faults), objective)
        for place, entry in enumerate(study.items("constraints", most=CONSTRAINTS_MOST))
    ]
    names = [each.metric for each in found]
    for name in dict.fromkeys(name for name in names if names.count(name) > 1 and name):
        fault = Fault(
            "constraints", f"constraints has {name[:60]!r} twice", "Give both bounds in one of them."
        )
        study.faults.append(fault)
    return tuple(found)


def parse(documents: Sequence[Mapping[str, object]]) -> tuple[Constraint, ...]:
    """What `document` made."""
    return tuple(_read(Document(each, field="constraints", faults=[]), "") for each in documents)


def _read(part: Document, objective: str) -> Constraint:
    part.only("metric", "min", "max")
    metric = part.text("metric", limit=METRIC_LONGEST)
    low, high = (part.number(name) if name in part else None for name in ("min", "max"))
    if metric and metric == objective:
        part.fault("metric", "is the objective", "Name another metric that the job reports.")
    if low is None and high is None:
        part.fault("max", "is missing", "Give min, max or both.")
    if low is not None and high is not None and low > high:
        part.fault("min", f"is {low:g}, above max {high:g}", "Swap them.")
    return Constraint(metric, low, high)
