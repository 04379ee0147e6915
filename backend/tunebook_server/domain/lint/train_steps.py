"""The length of training is chosen, never tuned."""

from collections.abc import Iterator

from tunebook_server.domain.changes import Fix
from tunebook_server.domain.lint.advice import Advice
from tunebook_server.domain.lint.reading import entries, largest, shown
from tunebook_server.domain.study import StudyDesign

RULE = "train_steps_varied"


def check(design: StudyDesign) -> Iterator[Advice]:
    for entry in entries(design, "train_steps", "train_epochs"):
        value = largest(entry.parameter)
        if not entry.varied or value is None:
            continue
        yield Advice(
            rule=RULE,
            sentence=f"{entry.name} varies in this study: pick one value.",
            reason="Longer training nearly always looks better, so the comparison would measure compute;"
            " and the"
            " best learning rate and schedule of one length are not those of another.",
            source="Deep Learning Tuning Playbook, “Determining the number of steps for each training run”",
            field=entry.field("type"),
            title=f"Hold {entry.name} at {shown(value)}",
            changes=(Fix(entry.key, value),),
            key=entry.key,
        )
