"""Studies compared: is one better than another, and is the comparison fair?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tunebook_server.domain.comparison import Check, caution, fairness, overall
from tunebook_server.domain.comparison.table import Row, designs
from tunebook_server.domain.findings import Verdict
from tunebook_server.domain.trial import Trial
from tunebook_server.figures import isolation
from tunebook_server.figures.isolation import IsolationPlot
from tunebook_server.services import compared as reads
from tunebook_server.services.across_figures import isolation_plot
from tunebook_server.services.compared import Compared
from tunebook_server.storage import findings, trials
from tunebook_server.storage.engine import Engine, transaction


@dataclass(frozen=True, slots=True)
class Comparison:
    """`best`: by study id, of those that have one; `counts`: verdicts of the checklist by study id, of those
    that it has looked at; `plot` None where values of the studies do not compare."""

    compared: Compared
    best: Mapping[int, Trial]
    counts: Mapping[int, Mapping[str, int]]
    checks: Sequence[Check]
    verdict: Verdict
    rows: Sequence[Row[str]]
    plot: IsolationPlot | None

    @property
    def caution(self) -> str:
        """How fair it is, in a sentence."""
        return caution(self.checks)

    @property
    def sentence(self) -> str:
        """What the isolation allows to say."""
        if self.plot is None:
            return "Nothing can be said: these studies measure different things."
        return isolation.verdict(self.plot)


def compare(engine: Engine, *, study_ids: Sequence[int], by: str = "") -> Comparison:
    """Raises as `compared.read` does."""
    compared = reads.read(engine, study_ids=study_ids, by=by)
    best_ids = [study.best_trial_id for study in compared.studies if study.best_trial_id is not None]
    with transaction(engine) as connection:
        kept = {study_id: findings.get(connection, study_id) for study_id in study_ids}
        best = trials.many(connection, best_ids)
    items = {study_id: found.items for study_id, found in kept.items() if found is not None}
    sides = [replace(side, findings=items.get(side.id)) for side in compared.sides]
    checks = fairness(sides)
    return Comparison(
        compared=compared,
        best={trial.study_id: trial for trial in best.values()},
        counts={study_id: _counted([each["verdict"] for each in found]) for study_id, found in items.items()},
        checks=checks,
        verdict=overall(checks),
        rows=designs([side.design for side in sides]),
        plot=isolation_plot(compared) if compared.comparable else None,
    )


def _counted(verdicts: Sequence[str]) -> dict[str, int]:
    return {str(each): verdicts.count(each) for each in Verdict if each in verdicts}
