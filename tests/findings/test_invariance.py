"""What must change no verdict: the order of trials, the unit, sign and offset of the objective, the unit of a
logarithmic range, and the unit of a step."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.findings.curve_studies import as_accuracy, in_other_steps
from tests.findings.labels.case import Label
from tests.findings.labels.registry import of
from tests.findings.studies import LOSS, flipped, in_other_log_units, permuted, rescaled, verdicts
from tunebook_server.domain.findings import CHECKLIST, Results
from tunebook_server.domain.search_space import Float

CLEAN = (Label.POSITIVE, Label.NEGATIVE)
WITH_AN_ACCURACY = ("overfitting", "late variance", "still improving", "saturated early")
COUNTS_STEPS = ("evaluation spacing",)
SEEDS = st.integers(0, 10_000)
FACTORS = st.sampled_from([1e-3, 0.37, 250.0])


def others(item: str, results: Results, seed: int, factor: float) -> list[Results]:
    found = [
        permuted(results, seed),
        rescaled(results, factor, -3.0 * factor),
        flipped(results),
        *(
            in_other_log_units(results, results.space.key(parameter), 1_000.0)
            for parameter in results.space.varied
            if isinstance(parameter, Float) and parameter.scale == "log"
        ),
    ]
    if item not in COUNTS_STEPS:
        found.append(in_other_steps(results, 7, 0))
    if item in WITH_AN_ACCURACY and results.objective == LOSS:
        found.append(as_accuracy(results))
    return found


@pytest.mark.parametrize("item", CHECKLIST)
@settings(max_examples=15, deadline=None, derandomize=True)
@given(draw=st.data(), seed=SEEDS, factor=FACTORS)
def test_what_changes_no_verdict(item: str, draw: st.DataObject, seed: int, factor: float) -> None:
    case = draw.draw(st.sampled_from([each for label in CLEAN for each in of(item, label)]))
    results, check = case.results(seed), CHECKLIST[item]
    before = verdicts(check(results))
    for other in others(item, results, seed, factor):
        assert verdicts(check(other)) == before
