"""What every conclusion of a study or of a round carries with it: it holds for what was fixed and for the
ranges that were searched (Deep Learning Tuning Playbook, "The scientific approach to improving model
performance")."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from tunebook_server.domain.document import show
from tunebook_server.domain.hyperparameter import in_words
from tunebook_server.domain.search_space import Boolean, Categorical, Fixed, SearchSpace

Kind = Literal["fixed", "searched", "check"]
KINDS: tuple[Kind, ...] = ("fixed", "searched", "check")


@dataclass(frozen=True, slots=True)
class Caveat:
    """`subject`: the key of a hyperparameter, or the item of the checklist; `studies`: ids of those that it
    is of, where that is not everything that is concluded on."""

    kind: Kind
    subject: str
    sentence: str
    studies: tuple[int, ...] = ()


def caveats(space: SearchSpace, findings: Sequence[Mapping[str, Any]]) -> list[Caveat]:
    """Fixed hyperparameters with their values, ranges searched, and checks that did not pass, in that order;
    `findings` in their JSON form.
    """
    fixed, searched = [], []
    for node in space.nodes:
        parameter = node.parameter
        name = in_words(parameter)
        if isinstance(parameter, Fixed):
            fixed.append(Caveat("fixed", node.key, f"only for {name} = {show(parameter.value)}"))
        elif isinstance(parameter, Categorical | Boolean):
            choices = (True, False) if isinstance(parameter, Boolean) else parameter.choices
            among = ", ".join(show(choice) for choice in choices)
            searched.append(Caveat("searched", node.key, f"{name} among {among}"))
        else:
            scale = " (log)" if parameter.scale == "log" else ""
            among = f"{parameter.low:.6g} … {parameter.high:.6g}{scale}"
            searched.append(Caveat("searched", node.key, f"{name} within {among}"))
    open_ = [each for each in findings if each["verdict"] in ("warn", "fail")]
    checks = [Caveat("check", each["item"], each["sentence"]) for each in open_]
    return [*fixed, *searched, *checks]


def together(by_study: Mapping[int, Sequence[Caveat]]) -> list[Caveat]:
    """What a conclusion from several studies carries, given the caveats of each by its id: equal ones once,
    with their studies unless all have them; kinds in the order of `caveats`.
    """
    found: dict[Caveat, list[int]] = {}
    for study_id, held in by_study.items():
        for caveat in dict.fromkeys(held):
            found.setdefault(caveat, []).append(study_id)
    shared = [
        replace(caveat, studies=tuple(ids) if len(ids) < len(by_study) else ())
        for caveat, ids in found.items()
    ]
    return sorted(shared, key=lambda caveat: KINDS.index(caveat.kind))
