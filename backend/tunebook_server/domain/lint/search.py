"""The sampler fits the aim: quasi-random search for insight, adaptive search for the last gain."""

from collections.abc import Iterator

from tunebook_server.domain.changes import Draw
from tunebook_server.domain.lint.advice import Advice
from tunebook_server.domain.lint.reading import entries, exploits
from tunebook_server.domain.lint.trials import needed
from tunebook_server.domain.study import StudyDesign
from tunebook_server.domain.study_limits import TRIALS_MOST

RULE = "sampler"
ADAPTIVE = "bayesian"
TWICE = 2
"""With so many times the trials of another search, quasi-random search is rarely beaten (Deep Learning Tuning
Playbook, "Why use quasi-random search …")."""
INSIGHT_SOURCE = (
    "Deep Learning Tuning Playbook, “Why use quasi-random search instead of more sophisticated black box"
    " optimization algorithms during the exploration phase of tuning?”"
)
EXPLOITING_SOURCE = "Deep Learning Tuning Playbook, “After exploration concludes”"


def check(design: StudyDesign) -> Iterator[Advice]:
    """A study asks for insight where it has a scientific hyperparameter; it exploits where it says so."""
    adaptive = design.drawing().learns
    if adaptive and any(entry.scientific for entry in entries(design)):
        yield Advice(
            rule=RULE,
            sentence=f"{design.sampler} search chases the best result, and this study asks a question.",
            reason="It crowds its trials where it expects to win, so the scientific values are sampled"
            " unevenly and"
            " the plots show its path; quasi-random trials answer other questions later, too.",
            source=INSIGHT_SOURCE,
            field="sampler.name",
            title="Search quasi-randomly",
            changes=(Draw("halton", {}),),
        )
    elif not adaptive and design.sampler != "manual" and exploits(design) and _is_scarce(design):
        yield _exploiting(design)


def _is_scarce(design: StudyDesign) -> bool:
    return design.budget < _plenty(design)


def _plenty(design: StudyDesign) -> int:
    return min(TWICE * needed(design), TRIALS_MOST)


def _exploiting(design: StudyDesign) -> Advice:
    return Advice(
        rule=RULE,
        sentence=f"A final, exploiting study is drawn by {design.sampler}, with {design.budget:,} trials.",
        reason="Once exploration has shown where the good values are, adaptive search gets more out of a"
        " small"
        f" budget; quasi-random search is its equal with {TWICE} times the trials.",
        source=EXPLOITING_SOURCE,
        field="sampler.name",
        title="Search by Bayesian optimisation",
        changes=(Draw(ADAPTIVE, {}),),
    )
