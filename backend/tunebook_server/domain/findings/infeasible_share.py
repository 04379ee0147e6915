"""Infeasible share: how many trials could not run, and which value is to blame.

Deep Learning Tuning Playbook, "Identifying bad search space boundaries": with many infeasible points, sample
elsewhere, or reparameterise; where no hyperparameter separates them, suspect a bug in the training code.
"""

from tunebook_server.domain.changes import Change, Fix, Range
from tunebook_server.domain.document import value_text
from tunebook_server.domain.findings.finding import Evidence, Finding, Proposal, Shown, Verdict, not_enough
from tunebook_server.domain.findings.results import Results
from tunebook_server.domain.findings.separation import Separation, separation
from tunebook_server.domain.findings.statistics import wilson
from tunebook_server.domain.findings.threshold import Threshold
from tunebook_server.domain.findings.values import among
from tunebook_server.domain.hyperparameter import in_words
from tunebook_server.domain.search_space import Float, Integer
from tunebook_server.domain.trial_columns import choices

ITEM = "infeasible share"
NEEDED_TRIALS = Threshold(
    "infeasible_share.needed_trials", 10, 1, 10_000, "Ended trials below which nothing is said."
)
WARN_SHARE = Threshold(
    "infeasible_share.warn_share", 0.10, 0.0, 1.0, "The infeasible share above which it warns."
)
FAIL_SHARE = Threshold(
    "infeasible_share.fail_share", 0.50, 0.0, 1.0, "The infeasible share above which it fails."
)
SEPARATED_P = Threshold(
    "infeasible_share.separated_p",
    0.01,
    1e-6,
    0.5,
    "The probability of so good a cut by chance below which a hyperparameter is blamed.",
)
SEPARATED_CONTRAST = Threshold(
    "infeasible_share.separated_contrast",
    0.3,
    0.0,
    1.0,
    "How well a cut must separate to be of use, 1 for wholly.",
)
OUTCOME_TRIALS = 5  # of the rarer outcome: among fewer no cut is beyond chance
CUT_SHARE = 0.5  # infeasible beyond the cut; where most can run, cutting loses more than it saves
TOP_TRIALS = 3  # that no cut may throw away


def check(results: Results) -> list[Finding]:
    infeasible, feasible = int(results.infeasible.sum()), int(results.feasible.sum())
    have = infeasible + feasible
    need = max(1, int(results.threshold(NEEDED_TRIALS)))
    if have < need:
        return [not_enough(ITEM, have, need, "ended trial")]
    share = infeasible / have
    verdict = _verdict(results, share)
    low, high = wilson(infeasible, have)
    evidence: dict[str, Evidence] = {
        "infeasible": infeasible,
        "ended": have,
        "share": share,
        "share_low": low,
        "share_high": high,
    }
    counted = (
        f"{infeasible:,} of {have:,} trials ({share:.0%}) {'is' if infeasible == 1 else 'are'} infeasible"
    )
    if verdict == Verdict.PASS:
        return [Finding(ITEM, verdict, f"{counted}.", evidence, have)]
    found = separation(results) if min(infeasible, feasible) >= OUTCOME_TRIALS else None
    if found is None or not _separates(results, found):
        why = _unexplained(results, found, infeasible, feasible)
        return [Finding(ITEM, verdict, f"{counted}{why}", evidence | _numbers(found), have)]
    change = _cut(results, found)
    sentence = f"{counted}, {_where(found)}{_advice(results, found, change)}"
    return [
        Finding(
            ITEM,
            verdict,
            sentence,
            evidence | _numbers(found),
            have,
            figure=Shown("axis", {"parameter": found.key}),
            proposal=None if change is None else Proposal(_title(found, change), (change,)),
        )
    ]


def _verdict(results: Results, share: float) -> Verdict:
    if share > results.threshold(FAIL_SHARE):
        return Verdict.FAIL
    warns = share > results.threshold(WARN_SHARE)
    return Verdict.WARN if warns else Verdict.PASS


def _separates(results: Results, found: Separation) -> bool:
    p = results.threshold(SEPARATED_P)
    contrast = results.threshold(SEPARATED_CONTRAST)
    return found.p < p and found.contrast >= contrast


def _unexplained(results: Results, found: Separation | None, infeasible: int, feasible: int) -> str:
    if feasible == 0:
        return ": none could run. This looks like a bug in the training code."
    if min(infeasible, feasible) < OUTCOME_TRIALS:
        return "; they are too few to tell which values are to blame."
    if found is None:
        return ", and no hyperparameter has more than one value. This looks like a bug in the training code."
    return ", and no hyperparameter separates them. This looks like a bug in the training code."


def _where(found: Separation) -> str:
    if found.threshold is None:
        place = f"with {in_words(found.parameter)} = {_shown(found)}"
    else:
        place = f"with {in_words(found.parameter)} {'above' if found.high else 'below'} {found.threshold:.4g}"
    return f"chiefly {place}: {found.share:.0%} there, {found.other_share:.0%} elsewhere"


def _advice(results: Results, found: Separation, change: Change | None) -> str:
    if change is not None:
        return "."
    if found.there[results.ranked[:TOP_TRIALS]].any():
        return ". The best trials lie there too: look at stability instead of cutting."
    if found.share < CUT_SHARE:
        return ". Many can run there: another parameterisation may keep them."
    return "."


def _numbers(found: Separation | None) -> dict[str, Evidence]:
    if found is None:
        return {}
    value = found.threshold if found.choice is None else _shown(found)
    return {
        "best_cut": found.key,
        "side": "choice" if found.threshold is None else "above" if found.high else "below",
        "value": value,
        "share_there": found.share,
        "share_elsewhere": found.other_share,
        "contrast": found.contrast,
        "p": found.p,
    }


def _cut(results: Results, found: Separation) -> Change | None:
    """None where too much would be lost, or nothing would be left to search."""
    if found.share < CUT_SHARE or found.there[results.ranked[:TOP_TRIALS]].any():
        return None
    parameter = found.parameter
    if isinstance(parameter, Float | Integer):
        assert found.threshold is not None
        return _cut_range(parameter, found.key, found.threshold, high=found.high)
    left = [choice for choice in choices(parameter) if choice is not found.choice]
    return among(found.key, parameter, left) if left else None


def _cut_range(parameter: Float | Integer, key: str, threshold: float, *, high: bool) -> Change | None:
    low, top = float(parameter.low), float(parameter.high)
    end = float(f"{threshold:.3g}")
    if isinstance(parameter, Integer):
        end = float(threshold // 1 if high else -(-threshold // 1))
    low, top = (low, end) if high else (end, top)
    if isinstance(parameter, Integer) and low == top:
        return Fix(key, int(low))
    return Range(key, low, top) if parameter.low <= low < top <= parameter.high else None


def _title(found: Separation, change: Change) -> str:
    name = in_words(found.parameter)
    if isinstance(change, Range):
        return f"Cut {name} to {change.low:.4g} … {change.high:.4g}"
    if isinstance(change, Fix):
        return f"Hold {name} at {str(change.value)[:40]}"
    return f"Search {name} without {_shown(found)}"


def _shown(found: Separation) -> str:
    return _clipped(value_text(found.choice) if found.choice is not None else "")


def _clipped(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:39]}…"
