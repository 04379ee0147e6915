"""Trials compared, of one study or of several: what differs between them, and what luck explains."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tunebook_server.domain.comparison.luck import Lead, lead, sentence
from tunebook_server.domain.comparison.table import Row, rows
from tunebook_server.domain.errors import Invalid, NotFound
from tunebook_server.domain.findings.repeats import Repeats, pooled, repeats
from tunebook_server.domain.study import Study
from tunebook_server.domain.trial import Trial, Value
from tunebook_server.services import trial_columns
from tunebook_server.storage import studies, trials
from tunebook_server.storage.engine import Engine, transaction

TRIALS_MOST = 20


@dataclass(frozen=True, slots=True)
class TrialComparison:
    """`trials` in the order asked for; `rows`: their hyperparameters by key; `lead` of the best over the
    next, None with fewer than two values or where `sentence` says that values do not compare."""

    trials: Sequence[Trial]
    studies: Mapping[int, Study]
    rows: Sequence[Row[Value]]
    lead: Lead | None
    sentence: str

    def name(self, trial: Trial) -> str:
        """`#12`, or `#12 of study 3` where there are several studies."""
        return f"#{trial.number} of study {trial.study_id}" if len(self.studies) > 1 else f"#{trial.number}"


def compare(engine: Engine, *, trial_ids: Sequence[int]) -> TrialComparison:
    """Raises Invalid for none or more than 20, NotFound for one that is not there."""
    if not 1 <= len(trial_ids) <= TRIALS_MOST:
        remedy = f"Name 2 to {TRIALS_MOST} trials, between commas."
        raise Invalid(f"{len(trial_ids)} to compare", field="trials", remedy=remedy)
    with transaction(engine) as connection:
        found = trials.many(connection, trial_ids)
        for trial_id in trial_ids:
            if trial_id not in found:
                raise NotFound(f"there is no trial {trial_id}", field="trials")
        owners = studies.many(connection, sorted({trial.study_id for trial in found.values()}))
    ordered = [found[trial_id] for trial_id in trial_ids]
    differing = rows([_located(owners[trial.study_id], trial) for trial in ordered])
    compared = TrialComparison(ordered, owners, differing, None, "")
    return _judged(engine, compared)


def _judged(engine: Engine, found: TrialComparison) -> TrialComparison:
    objectives = {study.objective for study in found.studies.values()}
    if len(objectives) > 1:
        said = "These trials measure different things, so their values do not compare."
        return TrialComparison(found.trials, found.studies, found.rows, None, said)
    (objective,) = objectives
    luck = _repeats(engine, list(found.studies.values()))
    ahead = lead([trial.objective for trial in found.trials], objective, luck)
    said = sentence(ahead, [found.name(trial) for trial in found.trials], objective, luck)
    return TrialComparison(found.trials, found.studies, found.rows, ahead, said)


def _repeats(engine: Engine, owners: Sequence[Study]) -> Repeats | None:
    """Of all trainings of one configuration in these studies."""
    columns = [trial_columns.read(engine, study).columns for study in owners]
    each = [repeats(trials, study.objective) for trials, study in zip(columns, owners, strict=True)]
    return pooled([spread for spread in each if spread is not None])


def _located(study: Study, trial: Trial) -> dict[str, Value]:
    """By key; a value that the search space does not know by its name."""
    known = {parameter.name for parameter in study.space.active(trial.parameters)}
    others = {name: value for name, value in trial.parameters.items() if name not in known}
    return {**study.space.locate(trial.parameters), **others}
