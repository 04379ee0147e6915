"""Is a comparison of studies fair? Each must have been tuned as well as the others for the same question.

The playbook compares scientific values by their best trials over the nuisance hyperparameters; that says
something only where the nuisance ones were searched alike, with about as many trials, and densely enough.
"""

from collections.abc import Sequence

from tunebook_server.domain.comparison import design, tuning
from tunebook_server.domain.comparison.check import Check
from tunebook_server.domain.comparison.side import Side


def fairness(sides: Sequence[Side]) -> list[Check]:
    """The checks in the order in which a person should read them; the order of `sides` changes no verdict."""
    return [
        design.objective(sides),
        design.fixed(sides),
        design.nuisance(sides),
        tuning.trials(sides),
        tuning.sampler(sides),
        *tuning.findings(sides),
    ]
