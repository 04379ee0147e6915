"""A report as Markdown: its figures stand beside it as pictures, called by their names."""

from collections.abc import Iterator, Sequence

from tunebook_server.domain.caveats import Caveat
from tunebook_server.domain.document import value_text
from tunebook_server.domain.findings import Verdict
from tunebook_server.domain.markdown import bullets, inline, paragraphs, table
from tunebook_server.domain.study import Study
from tunebook_server.figures.labels import significant
from tunebook_server.services.reports import Chapter, Report

WORDS = {
    Verdict.FAIL: "✗ fails",
    Verdict.WARN: "! warning",
    Verdict.NOT_ENOUGH_DATA: "… wants more data",
    Verdict.PASS: "✓ passes",
}
"""The worst first."""


def title(report: Report) -> str:
    return report.round.name if report.round else report.chapters[0].study.name


def markdown(report: Report) -> str:
    """The whole text; figures are called as pictures in the same folder."""
    blocks = [f"# {inline(title(report))}", f"Project {inline(report.project.name)}"]
    if report.round is None:
        blocks += _chapter(report.chapters[0], "##")
    else:
        blocks += [paragraphs(report.round.goal)] if report.round.goal else []
        blocks += _conclusion(report.round.conclusion, report.caveats, "##")
        blocks += ["## Studies", _studies(report)]
        for chapter in report.chapters:
            blocks += [
                f"## {inline(chapter.study.name)} (study {chapter.study.id})",
                *_chapter(chapter, "###"),
            ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _studies(report: Report) -> str:
    rows = []
    for chapter in report.chapters:
        study, best = chapter.study, chapter.best
        found = f"{significant(best.objective)} (trial {best.number})" if best else "–"
        rows.append(
            (str(study.id), inline(study.name), study.state, _trials(study), found, _objective(study))
        )
    found = table(("Study", "State", "Trials", "Best", "Objective"), rows) if rows else "None yet."
    return f"{found}\n\nOlder studies left out: {report.left_out}." if report.left_out else found


def _chapter(chapter: Chapter, level: str) -> Iterator[str]:
    study = chapter.study
    yield paragraphs(study.goal)
    yield bullets(
        [
            f"Best trial: {_best(chapter)}",
            f"Objective: {_objective(study)}",
            f"Trials: {_trials(study)}, {study.counts.get('infeasible', 0):,} infeasible",
            f"Sampler: {study.sampler}, seed {study.seed}",
            f"Started: {study.created_at:%Y-%m-%d %H:%M} UTC",
        ]
    )
    if chapter.settings:
        yield f"{level} Best configuration"
        yield table(
            ("Hyperparameter", "Value"),
            [(inline(key), inline(value_text(value))) for key, value in chapter.settings.items()],
        )
    yield from _conclusion(study.conclusion, chapter.caveats, level)
    yield f"{level} Findings"
    yield _findings(chapter)
    yield f"{level} Figures"
    yield from _pictures(chapter)


def _conclusion(text: str, caveats: Sequence[Caveat], level: str) -> Iterator[str]:
    yield f"{level} Conclusion"
    yield paragraphs(text) if text.strip() else "None was written."
    if caveats:
        yield "It holds:"
        yield bullets([_caveat(caveat) for caveat in caveats])


def _caveat(caveat: Caveat) -> str:
    of = f" (study {', '.join(map(str, caveat.studies))})" if caveat.studies else ""
    return f"{'but: ' if caveat.kind == 'check' else ''}{inline(caveat.sentence)}{of}"


def _findings(chapter: Chapter) -> str:
    if chapter.kept is None:
        return "None were computed yet."
    order = list(WORDS)
    items = sorted(chapter.kept.items, key=lambda item: order.index(Verdict(item["verdict"])))
    rows = []
    for item in items:
        subject = f": {inline(item['subject'])}" if item["subject"] else ""
        proposal = f" {inline(item['proposal']['title'])}." if item["proposal"] else ""
        said = f"{inline(item['sentence'])}{proposal}"
        rows.append((WORDS[Verdict(item["verdict"])], f"{inline(item['item'])}{subject}", said))
    return table(("Verdict", "Item", "Finding"), rows)


def _pictures(chapter: Chapter) -> Iterator[str]:
    for picture in chapter.pictures:
        yield f"![{inline(picture.title)}]({picture.file})"
        yield " ".join((f"**{inline(picture.title)}.**", *map(inline, picture.notes)))
    if chapter.left_out:
        yield f"Figures left out: {chapter.left_out}; the page of the study has them all."


def _best(chapter: Chapter) -> str:
    best = chapter.best
    return f"{significant(best.objective)} (trial {best.number})" if best else "none yet"


def _trials(study: Study) -> str:
    return f"{sum(study.counts.values()):,} of {study.budget:,}"


def _objective(study: Study) -> str:
    arrow = "↓" if study.objective.direction == "minimize" else "↑"
    return f"{inline(study.objective.metric)} {arrow} better"
