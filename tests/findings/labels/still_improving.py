"""Curves on their way, curves that have arrived, and runs that were cut on purpose."""

import numpy as np

from tests.findings.curve_studies import CURVE_NOISE, HOSTILE, Drawn, curve_study, pair, settling
from tests.findings.labels.case import ANY, NOT_ENOUGH, PASSES, WARNS, Case, Label, cases
from tunebook_server.domain.findings import Results
from tunebook_server.domain.findings.still_improving import ITEM

UNEVEN = np.unique(np.geomspace(1, 4_000, 200).astype(np.int64))


def stopped(noise: float, seed: int) -> Results:
    return curve_study(Drawn(settling(2), noise=noise, share=0.5), seed=seed, state="stopped")


ON_ITS_WAY = {
    "even steps": pair(Drawn(settling(2))),
    "uneven steps": pair(Drawn(settling(2.5), steps=UNEVEN)),
    "with spikes": pair(Drawn(settling(2.5), outliers=0.5)),
    "in quanta": pair(Drawn(settling(2), quantum=0.01)),
}
ARRIVED = {
    "even steps": pair(Drawn(settling(15))),
    "with spikes": pair(Drawn(settling(15), outliers=0.5)),
    "in quanta": pair(Drawn(settling(30), quantum=0.01)),
}
SHORT = {
    "10 evaluations": pair(Drawn(settling(2), steps=np.arange(0, 1_000, 100))),
    "lost at the end": pair(Drawn(settling(2), nan_tail=20)),
    "stopped": stopped,
}
CASES: list[Case] = [
    *cases(ITEM, Label.POSITIVE, ON_ITS_WAY, CURVE_NOISE, WARNS),
    *cases(ITEM, Label.NEGATIVE, ARRIVED, CURVE_NOISE, PASSES),
    *cases(ITEM, Label.BORDERLINE, {"nearly there": pair(Drawn(settling(6)))}, CURVE_NOISE, ANY),
    *cases(ITEM, Label.TOO_LITTLE, SHORT, CURVE_NOISE, NOT_ENOUGH),
    *cases(ITEM, Label.HOSTILE, HOSTILE, [0.0], ANY),
]
