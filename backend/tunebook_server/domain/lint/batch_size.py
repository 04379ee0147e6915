"""Batch size is chosen by throughput; where it does change, optimiser and regularisation change with it."""

from collections.abc import Iterator

from tunebook_server.domain.changes import Fix, Vary
from tunebook_server.domain.hyperparameter import Fixed
from tunebook_server.domain.hyperparameter_names import REGULARISATION
from tunebook_server.domain.lint.advice import Advice
from tunebook_server.domain.lint.opened import opened
from tunebook_server.domain.lint.reading import Entry, entries, largest, shown
from tunebook_server.domain.study import StudyDesign

RULE = "batch_size_tuned"
SOURCE = "Deep Learning Tuning Playbook, “Choosing the batch size”"


def check(design: StudyDesign) -> Iterator[Advice]:
    sizes = list(entries(design, "batch_size"))
    for entry in sizes:
        if entry.nuisance:
            yield _tuned(entry)
    if any(entry.scientific for entry in sizes):
        for entry in entries(design, *sorted(REGULARISATION)):
            yield from _not_retuned(entry)


def _tuned(entry: Entry) -> Advice:
    value = largest(entry.parameter)
    assert value is not None
    return Advice(
        rule=RULE,
        sentence=f"{entry.name} is tuned for validation performance: choose it by throughput instead.",
        reason="With the optimiser and the regularisation retuned, every batch size reaches the same final"
        " performance; the largest one that still raises throughput saves the most time.",
        source=SOURCE,
        field=entry.field("type"),
        title=f"Hold {entry.name} at {shown(value)}",
        changes=(Fix(entry.key, value),),
        key=entry.key,
    )


def _not_retuned(entry: Entry) -> Iterator[Advice]:
    if not isinstance(entry.parameter, Fixed):
        return
    searched = opened(entry.parameter, entry.kind)
    if searched is None:
        return
    yield Advice(
        rule=RULE,
        sentence=f"The batch size changes in this study and {entry.name} is held.",
        reason="Small batches regularise by their noise. A batch size compares fairly only with learning"
        " rate and"
        " momentum, and then the regularisation, tuned again for each.",
        source=SOURCE,
        field=entry.field("type"),
        title=f"Search {entry.name} too",
        changes=(Vary(searched),),
        key=entry.key,
    )
