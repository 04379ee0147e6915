"""The tracking table: what was tried, what came out, and how to run the best of it again."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tunebook_server.domain.project import JobTemplate
from tunebook_server.domain.study import Study
from tunebook_server.domain.trial import Trial
from tunebook_server.pages.reproduction import command, uncommitted
from tunebook_server.services import findings, lineage, trials
from tunebook_server.storage.engine import Engine


@dataclass(frozen=True, slots=True)
class StudyRow:
    """A line of the table; `verdicts`: how many findings have each."""

    study: Study
    best: Trial | None
    command: str
    changes: str
    follows: Sequence[lineage.Kin]
    verdicts: Mapping[str, int]

    @property
    def ended(self) -> int:
        states = ("completed", "infeasible", "stopped", "failed")
        return sum(self.study.counts.get(state, 0) for state in states)


def rows(engine: Engine, studies: Sequence[Study], templates: Sequence[JobTemplate]) -> list[StudyRow]:
    """One a study; `templates`: the job templates of their project."""
    ids = [study.id for study in studies]
    best_ids = [study.best_trial_id for study in studies if study.best_trial_id is not None]
    best = trials.many(engine, trial_ids=best_ids)
    environments = trials.environments(engine, trial_ids=best_ids)
    follows = lineage.followed(engine, study_ids=ids)
    verdicts = findings.verdicts(engine, study_ids=ids)
    known = {template.id: template for template in templates}
    made = []
    for study in studies:
        found = best.get(study.best_trial_id or 0)
        template = known.get(study.job_template_id or 0)
        argv = command(template, found.parameters) if template and found else ()
        changes = uncommitted(environments.get(found.id, {}) if found else {})
        counted = verdicts.get(study.id, {})
        made.append(StudyRow(study, found, shlex.join(argv), changes, follows[study.id], counted))
    return made
