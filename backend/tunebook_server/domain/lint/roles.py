"""Roles that seldom teach anything: a scientific learning rate, a scientific strength of regularisation."""

from collections.abc import Iterator

from tunebook_server.domain.changes import Assign, Choices, Depend, Mend, Vary
from tunebook_server.domain.conditions import Node
from tunebook_server.domain.hyperparameter import Boolean, Categorical
from tunebook_server.domain.hyperparameter_names import REGULARISATION
from tunebook_server.domain.lint.advice import Advice
from tunebook_server.domain.lint.reading import Entry, entries
from tunebook_server.domain.study import StudyDesign

LEARNING_RATE_RULE = "learning_rate_scientific"
STRENGTH_RULE = "strength_scientific"
SOURCE = "Deep Learning Tuning Playbook, “Identifying scientific, nuisance, and fixed hyperparameters”"
OFF = frozenset(("none", "off", "no", "false", "0", "0.0"))


def check_learning_rate(design: StudyDesign) -> Iterator[Advice]:
    for entry in entries(design, "learning_rate"):
        if entry.scientific:
            yield Advice(
                rule=LEARNING_RATE_RULE,
                sentence=f"{entry.name} is scientific, which is rarely insightful.",
                reason="Its best value changes with nearly everything else, so what is learned holds for"
                " this study"
                " alone: tune it as nuisance, and ask about something else.",
                source=SOURCE,
                field=entry.field("role"),
                title=f"Make {entry.name} nuisance",
                changes=(Assign(entry.key, "nuisance"),),
                key=entry.key,
            )


def check_strength(design: StudyDesign) -> Iterator[Advice]:
    for entry in entries(design, *sorted(REGULARISATION)):
        if not entry.scientific or isinstance(entry.parameter, Boolean):
            continue
        switch = _switch(design, entry)
        if switch is not None and switch.parameter.role == "scientific":
            continue
        yield Advice(
            rule=STRENGTH_RULE,
            sentence=f"The strength {entry.name} is scientific, and whether to use it at all is not.",
            reason="The first question is whether it helps; each strength compares fairly only as the"
            " best of its"
            " kind, so the strength is nuisance below an on and off that is scientific.",
            source=SOURCE,
            field=entry.field("role"),
            title=f"Ask whether {entry.name} helps",
            changes=_asking(entry, switch),
            key=entry.key,
        )


def _switch(design: StudyDesign, entry: Entry) -> Node | None:
    """The parent that turns it on and off, where it has one."""
    if entry.node.parent is None:
        return None
    parent = design.space.nodes[entry.node.parent]
    match parent.parameter:
        case Boolean():
            return parent
        case Categorical(choices=choices) if any(str(choice).lower() in OFF for choice in choices):
            return parent
    return None


def _asking(entry: Entry, switch: Node | None) -> tuple[Mend, ...]:
    changes: tuple[Mend, ...] = (Assign(entry.key, "nuisance"),)
    if switch is not None:
        return (Assign(switch.key, "scientific"), *changes)
    parameter = entry.parameter
    if isinstance(parameter, Categorical):
        on = tuple(choice for choice in parameter.choices if str(choice).lower() not in OFF)
        changes += (Choices(entry.key, on),) if on and len(on) < len(parameter.choices) else ()
    name = f"use_{parameter.name}"
    when = {"when": parameter.when.document()} if parameter.when is not None else {}
    key = f"{entry.key.removesuffix(parameter.name)}{name}"
    new = {"name": name, "type": "boolean", "role": "scientific", **when}
    return (Vary(new), *changes, Depend(entry.key, key, (True,)))
