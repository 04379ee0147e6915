"""Which checkpoints of a trial are kept: the best, the last, and what is in use; the rest is removed."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from tunebook_server.domain.document import Document, refuse
from tunebook_server.domain.errors import Fault
from tunebook_server.domain.objective import Objective
from tunebook_server.domain.trial import Checkpoint

FIELD = "checkpoints"
KEPT_MOST = 1000
NUMBERS = ("keep_best", "keep_last", "keep_trials")


@dataclass(frozen=True, slots=True)
class Retention:
    """What a study keeps of each trial: the `keep_best` best by its objective and the `keep_last` newest,
    None for all; of ended trials only the best `keep_trials` keep any, None for each of them."""

    keep_best: int | None = 1
    keep_last: int | None = 1
    keep_trials: int | None = None

    @property
    def keeps_all(self) -> bool:
        return self.keep_best is None or self.keep_last is None

    def document(self) -> dict[str, object]:
        """`parse(document())` is this again; empty for the defaults."""
        if self.keeps_all:
            return {"keep": "all"}
        numbers = {name: getattr(self, name) for name in NUMBERS}
        return {name: number for name, number in numbers.items() if number != getattr(DEFAULT, name)}

    def whole_document(self) -> dict[str, object]:
        """With the defaults written out."""
        if self.keeps_all:
            return {"keep": "all"}
        return {name: number for name in NUMBERS if (number := getattr(self, name)) is not None}

    def words(self) -> str:
        if self.keeps_all:
            return "all of them"
        of_trials = "" if self.keep_trials is None else f", of the best {_trials(self.keep_trials)} alone"
        return f"the best {self.keep_best} and the last {self.keep_last} of each trial{of_trials}"


ALL = Retention(None, None)
DEFAULT = Retention()


def parse(value: object) -> Retention:
    """Of a study's `checkpoints`. Raises Invalid with fields like "checkpoints.keep_best"."""
    faults: list[Fault] = []
    found = read(Document(value, field=FIELD, faults=faults))
    refuse(faults)
    return found


def read(part: Document) -> Retention:
    part.only("keep", *NUMBERS)
    if "keep" not in part:
        return Retention(
            part.integer("keep_best", low=0, high=KEPT_MOST, default=1),
            part.integer("keep_last", low=0, high=KEPT_MOST, default=1),
            part.integer("keep_trials", low=0, high=KEPT_MOST) if "keep_trials" in part else None,
        )
    part.word("keep", ("all",))
    for name in NUMBERS:
        if name in part:
            part.fault(name, 'stands beside keep = "all"', "Leave one of them out.")
    return ALL


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a checkpoint is kept, and for which reason, in words."""

    checkpoint: Checkpoint
    keep: bool
    reason: str


def judge(
    live: Sequence[Checkpoint],
    policy: Retention,
    objective: Objective,
    *,
    ended: bool = False,
    resumed_from: tuple[int, int] | None = None,
    among_best: bool = True,
    wanted: Collection[int] = (),
) -> list[Verdict]:
    """A verdict on each of a trial's checkpoints, in the order in which they go: the oldest first.

    `live`: those that are neither removed nor given up. `resumed_from`: epoch and step of the one that a
    running attempt goes on from; it stays, and so does the last one of a trial that has not ended.
    `among_best`: whether an ended trial is among those of its study that keep any. `wanted`: ids of those
    that other trials go on from; they stay, too.
    """
    ordered = sorted(live, key=_age)
    reasons: dict[tuple[int, int], str] = {}
    for reason, kept in _kept(ordered, policy, objective, ended=ended, among_best=among_best).items():
        for checkpoint in kept:
            earlier = reasons.get(_age(checkpoint))
            reasons[_age(checkpoint)] = f"{earlier} and {reason}" if earlier else reason
    if resumed_from is not None and not ended:
        reasons.setdefault(resumed_from, "the running attempt goes on from it")
    for each in ordered:
        if each.id in wanted:
            reasons.setdefault(_age(each), "another trial goes on from it")
    why_not = f"not among the best {policy.keep_best} and the last {policy.keep_last}"
    if not among_best:
        why_not = f"its trial is not among the best {_trials(policy.keep_trials or 0)} of the study"
    verdicts = []
    for checkpoint in ordered:
        reason = reasons.get(_age(checkpoint)) or _untouchable(checkpoint, ordered, reasons)
        verdicts.append(Verdict(checkpoint, bool(reason), reason or why_not))
    return verdicts


def next_to_go(
    live: Sequence[Checkpoint],
    policy: Retention,
    objective: Objective,
    *,
    resumed_from: tuple[int, int] | None = None,
) -> set[int]:
    """Ids of those that are kept until the next checkpoint of a trial that has not ended is registered."""
    if not live:
        return set()
    newest = max(live, key=_age)
    coming = replace(newest, id=0, step=newest.step + 1, uri=f"{newest.uri}.next", metric=None)
    before = judge(live, policy, objective, resumed_from=resumed_from)
    after = judge([*live, coming], policy, objective, resumed_from=resumed_from)
    kept = {verdict.checkpoint.id for verdict in before if verdict.keep}
    return kept & {verdict.checkpoint.id for verdict in after if not verdict.keep}


def is_managed(checkpoint: Checkpoint) -> bool:
    """Whether it lies in its attempt's own folder: what lies elsewhere is the user's to remove."""
    head, folder, name = checkpoint.uri.partition(f"/{checkpoint.trial_id}/{checkpoint.epoch}/")
    return bool(head and folder and name.strip("/")) and ".." not in checkpoint.uri.split("/")


def _kept(
    ordered: Sequence[Checkpoint],
    policy: Retention,
    objective: Objective,
    *,
    ended: bool,
    among_best: bool,
) -> Mapping[str, Sequence[Checkpoint]]:
    if policy.keeps_all:
        return {"all are kept": ordered}
    if ended and not among_best:
        return {}
    keep_last = policy.keep_last or 0
    if not ended:
        keep_last = max(keep_last, 1)
    scored = [each for each in ordered if each.metric is not None and math.isfinite(each.metric)]
    # Of equal ones the newest is the best: it has been trained for longer.
    ranked = sorted(
        scored, key=lambda each: (objective.sign * float(each.metric or 0.0), -each.epoch, -each.step)
    )
    return {"best": ranked[: policy.keep_best], "last": ordered[max(len(ordered) - keep_last, 0) :]}


def _untouchable(
    checkpoint: Checkpoint, ordered: Sequence[Checkpoint], kept: Mapping[tuple[int, int], str]
) -> str:
    """Why it stays although the policy does not ask for it; empty where nothing speaks for it."""
    if not is_managed(checkpoint):
        return "outside the checkpoint folder: yours to remove"
    inside = checkpoint.uri.rstrip("/") + "/"
    holds = next((o for o in ordered if _age(o) in kept and o.uri.startswith(inside)), None)
    return f"its folder holds the checkpoint of step {holds.step}" if holds else ""


def _age(checkpoint: Checkpoint) -> tuple[int, int]:
    return checkpoint.epoch, checkpoint.step


def _trials(count: int) -> str:
    return f"{count} trial{'' if count == 1 else 's'}"
