"""What the designs of compared studies say: same objective, same fixed values, nuisance searched alike."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tunebook_server.domain.comparison.check import Check, listed
from tunebook_server.domain.comparison.side import Side, differing
from tunebook_server.domain.difference import described, short_value
from tunebook_server.domain.findings.finding import Evidence, Verdict
from tunebook_server.domain.hyperparameter_names import kind
from tunebook_server.domain.lint.fairness import ASKED, TUNED
from tunebook_server.domain.search_space import Searched
from tunebook_server.domain.trial import Value

LENGTHS = ("train_steps", "train_epochs")


def objective(sides: Sequence[Side]) -> Check:
    objectives = {side.name: side.design.objective for side in sides}
    evidence: dict[str, Evidence] = {
        name: f"{each.metric} ({each.direction}, {each.evaluation} evaluation)"
        for name, each in objectives.items()
    }
    if len(set(objectives.values())) == 1:
        return Check("objective", Verdict.PASS, f"All measure {evidence[sides[0].name]}.", evidence)
    problem = "They measure different things"
    if len({(each.metric, each.direction) for each in objectives.values()}) == 1:
        problem = "The best evaluation of some stands against the last of others"
    said = listed([f"{name}: {words}" for name, words in evidence.items()], between="; ")
    return Check("objective", Verdict.FAIL, f"{problem}: {said}.", evidence)


def fixed(sides: Sequence[Side]) -> Check:
    """One thing that differs is what is compared; of two, nobody can say which made the difference."""
    different = differing(sides)
    evidence = {key: ", ".join(map(short_value, values)) for key, values in different.items()}
    lengths = [key for key in different if _kind(key) in LENGTHS]
    if lengths:
        sentence = f"Not all train for as long ({listed(lengths)} differs): longer training has an advantage."
        return Check("fixed values", Verdict.FAIL, sentence, evidence)
    if len(different) > 1:
        sentence = (
            f"{len(different)} fixed values differ ({listed(list(different))}): "
            "nobody can say which of them made the difference."
        )
        return Check("fixed values", Verdict.FAIL, sentence, evidence)
    said = f"only {next(iter(different))}" if different else "nothing"
    alone = _alone(sides)
    own = f" {listed(alone)} {'is' if len(alone) == 1 else 'are'} known only to some." if alone else ""
    return Check("fixed values", Verdict.PASS, f"Of what is fixed in all, {said} differs.{own}", evidence)


def nuisance(sides: Sequence[Side]) -> Check:
    """The same ranges for all, or ranges of its own for what only some have."""
    found = _Searches.of(sides)
    evidence: dict[str, Evidence] = {
        "searched alike": len(found.alike),
        "searched in some, fixed in others": listed(list(found.held)),
        "other ranges": listed(list(found.unlike)),
        "only in some": listed(found.own),
    }
    verdict, sentence = _said(sides, found)
    shown = {name: value for name, value in evidence.items() if value != ""}
    return Check("nuisance", verdict, sentence, shown)


@dataclass(frozen=True, slots=True)
class _Searches:
    """Keys of what some study searches. `held`: with the studies that fix it; `unlike`: with the ranges."""

    alike: Sequence[str]
    held: Mapping[str, Sequence[str]]
    unlike: Mapping[str, Sequence[str]]
    own: Sequence[str]

    @classmethod
    def of(cls, sides: Sequence[Side]) -> "_Searches":
        alike: list[str] = []
        own: list[str] = []
        held: dict[str, list[str]] = {}
        unlike: dict[str, list[str]] = {}
        searched = [_searched(side) for side in sides]
        fixed: list[dict[str, Value]] = [side.held for side in sides]
        for key in dict.fromkeys(key for each in searched for key in each):
            there = [each[key] for each in searched if key in each]
            holding = [side.name for side, each in zip(sides, fixed, strict=True) if key in each]
            if holding:
                held[key] = holding
            elif len({_range(each) for each in there}) > 1:
                unlike[key] = list(dict.fromkeys(map(described, there)))
            elif len(there) < len(sides):
                own.append(key)
            else:
                alike.append(key)
        return cls(alike, held, unlike, own)


def _said(sides: Sequence[Side], found: _Searches) -> tuple[Verdict, str]:
    if found.held:
        said = listed(
            [f"{key} is fixed in {listed(names)}" for key, names in found.held.items()], between="; "
        )
        return Verdict.FAIL, f"Tuned in some and not in others: {said}. What was tuned has an advantage."
    if untuned := [side.name for side in sides if not side.design.space.varied]:
        sentence = f"Nothing was tuned in {listed(untuned)}: one setting may not suit what it compares."
        return Verdict.WARN, sentence
    if kept := _untuned(sides):
        return Verdict.WARN, kept
    if found.unlike:
        said = listed([f"{key} ({' against '.join(ranges)})" for key, ranges in found.unlike.items()])
        return Verdict.WARN, f"Searched over other ranges: {said}. Fair only if each range suits its study."
    own = f" {listed(found.own)} exist{'s' if len(found.own) == 1 else ''} only in some." if found.own else ""
    return Verdict.PASS, f"What all of them tune ({len(found.alike)}) had the same ranges.{own}"


def _untuned(sides: Sequence[Side]) -> str:
    """An optimiser that is not tuned for each of them favours the one that it happens to suit."""
    asked = [key for key in differing(sides) if _kind(key) in ASKED]
    held = [key for key in sides[0].held if _kind(key) in TUNED and all(key in side.held for side in sides)]
    if not asked or not held:
        return ""
    return (
        f"{listed(held)} held in all of them while {listed(asked)} differs: "
        "it favours the one that it happens to suit."
    )


def _alone(sides: Sequence[Side]) -> list[str]:
    """What some fix and others do not have at all."""
    keys = dict.fromkeys(key for side in sides for key in side.held)
    return [key for key in keys if not all(key in (*side.design.space.keys, *side.held) for side in sides)]


def _searched(side: Side) -> dict[str, Searched]:
    space = side.design.space
    return {space.key(parameter): parameter for parameter in space.varied}


def _range(parameter: Searched) -> str:
    return json.dumps({**parameter.document(), "role": ""}, sort_keys=True)


def _kind(key: str) -> str | None:
    return kind(key.rpartition("/")[2])
