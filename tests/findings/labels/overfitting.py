"""Validation curves that turn round, settle, jump, or are too short to say."""

import numpy as np

from tests.findings.curve_studies import CURVE_NOISE, HOSTILE, Drawn, jumping, pair, settling, turning
from tests.findings.labels.case import ANY, NO_ALARM, NOT_ENOUGH, PASSES, WARNS, Case, Label, cases
from tunebook_server.domain.findings.overfitting import ITEM

TRAIN = settling(4, 0.0)
TURNING = {
    "rises by a tenth": pair(Drawn(turning(0.1), TRAIN)),
    "rises by 0.3": pair(Drawn(turning(0.3), TRAIN)),
}
OTHERS = {
    "on its way": pair(Drawn(settling(3), TRAIN)),
    "settled, with spikes": pair(Drawn(settling(15), TRAIN, outliers=0.5)),
    "training jumps too": pair(Drawn(jumping(0.3), jumping(0.3))),
}
SHORT = {"2 late evaluations": pair(Drawn(turning(0.3), TRAIN, steps=np.arange(0, 1_000, 100)))}
CASES: list[Case] = [
    *cases(ITEM, Label.POSITIVE, TURNING, CURVE_NOISE, WARNS),
    *cases(ITEM, Label.NEGATIVE, OTHERS, CURVE_NOISE, PASSES),
    *cases(ITEM, Label.BORDERLINE, {"rises by 0.03": pair(Drawn(turning(0.03), TRAIN))}, CURVE_NOISE, ANY),
    *cases(ITEM, Label.TOO_LITTLE, SHORT, CURVE_NOISE, NOT_ENOUGH),
    *cases(ITEM, Label.HOSTILE, HOSTILE, [0.0], NO_ALARM),
]
