"""Studies whose infeasible trials lie beyond a value, with a choice, or anywhere."""

from collections.abc import Callable

import numpy as np

from tests.findings.labels.case import ANY, NOT_ENOUGH, PASSES, Case, Label, Make, cases, says
from tests.findings.studies import NOISE, Rule, study
from tunebook_server.domain.changes import Change, Choices, Fix
from tunebook_server.domain.findings import Finding, Results, Verdict
from tunebook_server.domain.findings.infeasible_share import ITEM
from tunebook_server.domain.trial import Configuration

SPACE: list[dict[str, object]] = [
    {"name": "optimizer", "type": "categorical", "choices": ["adam", "nesterov", "<b>lamb</b>"]},
    {"name": "learning_rate", "type": "float", "low": 1e-4, "high": 1.0, "scale": "log"},
    {"name": "layers", "type": "integer", "low": 1, "high": 12},
    {"name": "norm", "type": "boolean"},
    {"name": "dropout", "type": "float", "low": 0.0, "high": 0.8},
]
Ill = Callable[[Configuration, np.random.Generator], bool]
BUG = "looks like a bug"


def made(ill: Ill, noise: float) -> Rule:
    def loss(configuration: Configuration, random: np.random.Generator) -> float | None:
        if ill(configuration, random):
            return None
        miss = (np.log10(float(configuration["learning_rate"])) + 2) / 4
        return float(miss**2 + noise * random.standard_normal())

    return loss


def above(rate: float, share: float = 1.0) -> Ill:
    return lambda c, random: float(c["learning_rate"]) > rate and random.random() < share


def anywhere(share: float) -> Ill:
    return lambda _, random: random.random() < share


def together(configuration: Configuration, _: np.random.Generator) -> bool:
    return bool(np.log10(float(configuration["learning_rate"])) + int(configuration["layers"]) / 4 > 0.3)


def infeasible(ill: Ill, trials: int = 60) -> Make:
    return lambda noise, seed: study(SPACE, made(ill, noise), trials=trials, seed=seed)


def always(loss: float | None) -> Make:
    return lambda _, seed: study(SPACE, lambda *_: loss, seed=seed)


def odd_values(noise: float, seed: int) -> Results:
    results = study(SPACE, made(anywhere(0.3), noise), seed=seed)
    for place, value in enumerate([np.inf, -np.inf, np.nan, 0.0, -1.0, 1e308, -1e308]):
        for key in ("learning_rate", "layers", "dropout"):
            results.columns.values[key][place::7] = value
    results.columns.values["optimizer"][:] = np.nan
    return results


def cuts_the_rate(finding: Finding) -> bool:
    evidence = finding.evidence
    return (
        finding.verdict == Verdict.WARN
        and (evidence.get("best_cut"), evidence.get("side")) == ("learning_rate", "above")
        and 0.04 <= float(evidence["value"] or 0) <= 0.3
        and BUG not in finding.sentence
    )


def proposes(change: Change) -> Callable[[Finding], bool]:
    return lambda finding: finding.proposal is not None and tuple(finding.proposal.changes) == (change,)


def blames_either(finding: Finding) -> bool:
    return finding.evidence.get("best_cut") in ("learning_rate", "layers") and BUG not in finding.sentence


def calls_it_a_bug(verdict: Verdict) -> Callable[[Finding], bool]:
    named = says(verdict, words=BUG)
    return lambda finding: named(finding) and finding.proposal is None


LAMB = infeasible(lambda c, _: c["optimizer"] == "<b>lamb</b>")
WITHOUT_NORM = infeasible(lambda c, _: c["norm"] is False)
DROPS_LAMB = proposes(Choices("optimizer", ("adam", "nesterov")))
ABOVE = {"above a rate": infeasible(above(0.1)), "often above a rate": infeasible(above(0.1, 0.8))}
CASES: list[Case] = [
    *cases(ITEM, Label.POSITIVE, ABOVE, NOISE, cuts_the_rate),
    *cases(ITEM, Label.POSITIVE, {"with a choice": LAMB}, NOISE, DROPS_LAMB),
    *cases(ITEM, Label.POSITIVE, {"without norm": WITHOUT_NORM}, NOISE, proposes(Fix("norm", True))),
    *cases(ITEM, Label.POSITIVE, {"two together": infeasible(together)}, NOISE, blames_either),
    *cases(
        ITEM,
        Label.POSITIVE,
        {"anywhere, 30 %": infeasible(anywhere(0.3))},
        NOISE,
        calls_it_a_bug(Verdict.WARN),
    ),
    *cases(
        ITEM,
        Label.POSITIVE,
        {"anywhere, 75 %": infeasible(anywhere(0.75))},
        NOISE,
        calls_it_a_bug(Verdict.FAIL),
    ),
    *cases(ITEM, Label.NEGATIVE, {"anywhere, 4 %": infeasible(anywhere(0.04))}, NOISE, PASSES),
    *cases(ITEM, Label.BORDERLINE, {"anywhere, 10 %": infeasible(anywhere(0.1))}, NOISE, ANY),
    *cases(ITEM, Label.TOO_LITTLE, {"9 trials": infeasible(anywhere(0.5), 9)}, NOISE, NOT_ENOUGH),
    *cases(ITEM, Label.HOSTILE, {"none feasible": always(None)}, [0.0], says(Verdict.FAIL)),
    *cases(ITEM, Label.HOSTILE, {"all equal": always(0.5), "all huge": always(1e300)}, [0.0], ANY),
    *cases(ITEM, Label.HOSTILE, {"odd values": odd_values}, [0.01], ANY),
]
