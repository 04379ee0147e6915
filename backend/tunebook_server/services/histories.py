"""What a study's sampler learns from: its own trials, and those of earlier studies where it is told to."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tunebook_server.domain.document import refuse
from tunebook_server.domain.errors import Fault
from tunebook_server.domain.objective import Objective
from tunebook_server.domain.samplers.history import History
from tunebook_server.domain.samplers.learner import Learner
from tunebook_server.domain.samplers.recorded import order, recorded
from tunebook_server.domain.samplers.sampler import Sampler
from tunebook_server.domain.samplers.warm_start import after, carried
from tunebook_server.domain.study import Study, StudyDesign
from tunebook_server.domain.trial_columns import TrialColumns
from tunebook_server.services import rungs, trial_columns
from tunebook_server.storage import evaluations, studies
from tunebook_server.storage.engine import Connection, Engine, transaction


def of(engine: Engine, study: Study, chosen: Sampler) -> History:
    columns = trial_columns.read(engine, study).columns
    own = recorded(columns, study.space, study.objective, rungs.reached(engine, study))
    if not isinstance(chosen, Learner):
        return own
    if chosen.trade_offs:
        own = replace(own, others=_others(engine, study, columns, chosen.trade_offs)[order(columns)])
    if not chosen.warm_start:
        return own
    with transaction(engine) as connection:
        earlier = studies.many(connection, chosen.warm_start)
    found = [earlier[study_id] for study_id in chosen.warm_start if study_id in earlier]
    return after([_carried(engine, study, each, chosen.trade_offs) for each in found], own)


def _carried(engine: Engine, study: Study, before: Study, trade_offs: Sequence[Objective]) -> History:
    columns = trial_columns.read(engine, before).columns
    others = _others(engine, before, columns, trade_offs) if trade_offs else None
    return carried(study.space, before.space, columns, study.objective, others)


def _others(
    engine: Engine, study: Study, columns: TrialColumns, metrics: Sequence[Objective]
) -> NDArray[np.float64]:
    """The last values of these metrics, as losses, trial by trial."""
    ids = columns.ids.tolist()
    with transaction(engine) as connection:
        last = [evaluations.last_values_of_study(connection, study.id, each.metric) for each in metrics]
    signed = [
        [each.sign * values.get(trial_id, np.nan) for trial_id in ids]
        for each, values in zip(metrics, last, strict=True)
    ]
    return np.array(signed, dtype=np.float64).T.reshape(len(ids), len(metrics))


def check_warm_start(connection: Connection, project_id: int, design: StudyDesign) -> None:
    """Raises Invalid where a study to learn from is not of the project, or measures something else."""
    chosen = design.drawing()
    if not isinstance(chosen, Learner) or not chosen.warm_start:
        return
    earlier = studies.many(connection, chosen.warm_start)
    faults = []
    for study_id in chosen.warm_start:
        found = earlier.get(study_id)
        field = "sampler.options.warm_start"
        if found is None or found.project_id != project_id:
            problem = f"there is no study {study_id} in this project"
            faults.append(Fault(field, problem, "Name studies of the same project."))
        elif found.objective != design.objective:
            words = f"{found.objective.direction} the {found.objective.evaluation} {found.objective.metric}"
            faults.append(Fault(field, f"study {study_id} measures another thing: {words}", "Leave it out."))
    refuse(faults)
