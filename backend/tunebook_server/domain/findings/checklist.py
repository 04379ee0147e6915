"""The items of the checklist, in the order in which a person should read them (Deep Learning Tuning Playbook,
"Extracting insight from experimental results" and its checks)."""

from collections.abc import Callable, Mapping

from tunebook_server.domain.findings import (
    boundary,
    evaluation_spacing,
    gradient_norm,
    infeasible_share,
    input_bound,
    instability,
    late_variance,
    overfitting,
    per_value,
    periodicity,
    sampling,
    saturated,
    still_improving,
    training_loss,
)
from tunebook_server.domain.findings.finding import Finding
from tunebook_server.domain.findings.results import Results

ITEMS = (
    boundary,
    sampling,
    per_value,
    infeasible_share,
    overfitting,
    late_variance,
    still_improving,
    saturated,
    training_loss,
    instability,
    gradient_norm,
    evaluation_spacing,
    periodicity,
    input_bound,
)
CHECKLIST: Mapping[str, Callable[[Results], list[Finding]]] = {item.ITEM: item.check for item in ITEMS}
