"""Validation curves that go up and down with a period, and noise that does not."""

import numpy as np
from numpy.typing import NDArray

from tests.findings.labels.case import (
    ANY,
    NO_ALARM,
    NOT_ENOUGH,
    PASSES,
    Case,
    Label,
    Make,
    Right,
    cases,
    says,
)
from tests.findings.measured_studies import CURVE_NOISE, Shape, evaluated, falling, hostile_of, noisy
from tests.findings.studies import LOSS
from tunebook_server.domain.findings import Finding, Verdict
from tunebook_server.domain.findings.periodicity import ITEM

UNSHUFFLED = says(Verdict.WARN, words="not shuffled properly")
LENGTH = 1_190  # steps


def wave(amplitude: float, waves: float) -> Shape:
    def values(done: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
        wave = np.sin(2 * np.pi * (waves * done + random.random()))
        return falling(done, random) + amplitude * wave

    return values


def sawtooth(done: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    """Every pass over data that is not shuffled ends on the same examples."""
    return falling(done, random) + 0.2 * (12 * done % 1)


def dropping(done: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    """A learning rate lowered twice."""
    return np.where(done < 0.33, 0.9, np.where(done < 0.67, 0.4, 0.2)) + 1.5 * np.exp(-20 * done)


def settling(done: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    """Noise that dies out with the learning rate."""
    return falling(done, random) + 0.1 * (1 - done) * random.standard_normal(len(done))


def validated(shape: Shape, *, memory: float = 0.0, count: int = 120) -> Make:
    return lambda noise, seed: evaluated(noisy(shape, noise, memory=memory), seed=seed, count=count)


def waving(waves: float) -> Make:
    return lambda noise, seed: evaluated(noisy(wave(1.5 * noise, waves), noise), seed=seed)


def finds(waves: float) -> Right:
    def right(finding: Finding) -> bool:
        period = float(finding.evidence.get("period") or 0)
        return UNSHUFFLED(finding) and abs(period * waves / LENGTH - 1) <= 0.05

    return right


NOISY = {
    f"{shape.__name__}, memory {memory}, {count} points": validated(shape, memory=memory, count=count)
    for shape in (falling, dropping, settling)
    for memory, count in ((0.0, 60), (0.0, 300), (0.5, 120), (0.9, 120))
}
FAINT = {"a faint wave": validated(wave(0.01, 12))}
CASES: list[Case] = [
    *(
        case
        for waves in (9.0, 16.3, 40.0)
        for case in cases(ITEM, Label.POSITIVE, {f"{waves} waves": waving(waves)}, CURVE_NOISE, finds(waves))
    ),
    *cases(ITEM, Label.POSITIVE, {"data in order": validated(sawtooth)}, CURVE_NOISE, UNSHUFFLED),
    *cases(ITEM, Label.NEGATIVE, NOISY, CURVE_NOISE, PASSES),
    *cases(ITEM, Label.BORDERLINE, FAINT, CURVE_NOISE, ANY),
    *cases(ITEM, Label.TOO_LITTLE, {"50 points": validated(falling, count=50)}, CURVE_NOISE, NOT_ENOUGH),
    *cases(ITEM, Label.HOSTILE, hostile_of([LOSS.metric]), [0.0], NO_ALARM),
]
