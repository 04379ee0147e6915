"""Studies side by side: which has won, if any has, whether that is fair, and how their designs differ."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fastapi import Request, Response

from tunebook_server.domain.comparison import Side
from tunebook_server.domain.comparison.side import differing
from tunebook_server.domain.joined import KEY
from tunebook_server.domain.study import Study
from tunebook_server.domain.trial import Trial
from tunebook_server.figures.labels import key_words
from tunebook_server.pages.findings import verdict_counts, verdict_words
from tunebook_server.pages.rendering import address, changed, render
from tunebook_server.services import comparisons, projects, studies
from tunebook_server.services.comparisons import Comparison
from tunebook_server.storage.engine import Engine

NAMES_MOST = 6  # of keys that studies can be told apart by


@dataclass(frozen=True, slots=True)
class StudyRow:
    """A line of the table; `name` tells the study apart where that is not its own name."""

    study: Study
    side: Side
    name: str
    best: Trial | None
    wins: bool
    findings: Sequence[tuple[str, str]] | None
    without: str


def show_studies(
    request: Request, engine: Engine, study_ids: Sequence[int], query: Mapping[str, str]
) -> Response:
    if len(study_ids) == 1:
        alone = studies.get(engine, study_id=study_ids[0])
        return render(request, "compare.html", alone=alone)
    by = query.get("by", "")
    found = comparisons.compare(engine, study_ids=study_ids, by=by)
    compared = found.compared
    told = compared.told.key
    shown = {"studies": ",".join(map(str, study_ids)), "by": by}
    return render(
        request,
        "compare_studies.html",
        query=query,
        comparison=found,
        rows=[_row(found, place, query) for place in range(len(study_ids))],
        by=told,
        names=[(KEY, "name"), *((key, key_words(key)[0]) for key in _keys(compared.sides, told))],
        verdict=verdict_words(found.verdict),
        checks=[(check, verdict_words(check.verdict)) for check in found.checks],
        different=[row for row in found.rows if row.differs],
        equal=[row for row in found.rows if not row.differs],
        project=projects.get(engine, project_id=compared.studies[0].project_id),
        src={kind: address(f"/api/v1/figures/{kind}", **shown) for kind in _KINDS},
        csv={kind: address(f"/api/v1/data/{kind}", **shown, format="csv") for kind in _KINDS},
        api=address("/api/v1/compare", **shown),
    )


_KINDS = ("isolation", "best-of-k", "distribution")


def _keys(sides: Sequence[Side], told: str) -> list[str]:
    """What the studies can be told apart by beside their names."""
    return list(dict.fromkeys([*differing(sides), *([told] if told != KEY else [])]))[:NAMES_MOST]


def _row(found: Comparison, place: int, query: Mapping[str, str]) -> StudyRow:
    study = found.compared.studies[place]
    others = [str(other.id) for other in found.compared.studies if other.id != study.id]
    counts = found.counts.get(study.id)
    return StudyRow(
        study=study,
        side=found.compared.sides[place],
        name="" if found.compared.told.by_name else found.compared.told.names[place],
        best=found.best.get(study.id),
        wins=found.plot is not None and found.plot.isolation.winner == place,
        findings=None if counts is None else verdict_counts(counts),
        without="/compare" + changed(query, studies=",".join(others)),
    )
