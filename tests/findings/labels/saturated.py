"""Runs that gained nothing for their second half, and runs that needed it."""

import numpy as np

from tests.findings.curve_studies import CURVE_NOISE, HOSTILE, Drawn, pair, settling
from tests.findings.labels.case import ANY, NOT_ENOUGH, PASSES, WARNS, Case, Label, cases
from tunebook_server.domain.findings.saturated import ITEM

EARLY = {
    "even steps": pair(Drawn(settling(20))),
    "with spikes": pair(Drawn(settling(20), outliers=0.5)),
    "in quanta": pair(Drawn(settling(20), quantum=0.01)),
}
NEEDED = {
    "slow": pair(Drawn(settling(2))),
    "less slow": pair(Drawn(settling(4))),
    "with spikes": pair(Drawn(settling(3), outliers=0.5)),
}
SHORT = {"10 evaluations": pair(Drawn(settling(30), steps=np.arange(0, 1_000, 100)))}
CASES: list[Case] = [
    *cases(ITEM, Label.POSITIVE, EARLY, CURVE_NOISE, WARNS),
    *cases(ITEM, Label.NEGATIVE, NEEDED, CURVE_NOISE, PASSES),
    *cases(ITEM, Label.BORDERLINE, {"by half": pair(Drawn(settling(10)))}, CURVE_NOISE, ANY),
    *cases(ITEM, Label.TOO_LITTLE, SHORT, CURVE_NOISE, NOT_ENOUGH),
    *cases(ITEM, Label.HOSTILE, HOSTILE, [0.0], ANY),
]
