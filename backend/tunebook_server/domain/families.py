"""Metrics that belong in one picture: `train/loss` and `valid/loss` are one family of two splits."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

SPLITS = {
    "train": "train",
    "training": "train",
    "valid": "valid",
    "validation": "valid",
    "val": "valid",
    "test": "test",
    "eval": "valid",
}
ORDER = ("valid", "train", "test", "")


@dataclass(frozen=True, slots=True)
class Family:
    name: str
    metrics: tuple[str, ...]
    """Validation first, then train, then test."""


def split(metric: str) -> tuple[str, str]:
    """`valid/loss` and `val_loss` -> ("valid", "loss"); a metric of no split -> ("", its name)."""
    for mark in ("/", "_", "."):
        head, found, rest = metric.partition(mark)
        if found and rest and head.lower() in SPLITS:
            return SPLITS[head.lower()], rest
    return "", metric


def families(metrics: Iterable[str], *, first: str = "") -> list[Family]:
    """Families by name; that of the metric `first` before all, those of several splits before the others."""
    members: dict[str, list[str]] = {}
    for metric in metrics:
        members.setdefault(split(metric)[1], []).append(metric)
    chosen = split(first)[1]
    names = sorted(members, key=lambda name: (name != chosen, len(members[name]) == 1, name))
    return [Family(name, tuple(_by_split(members[name]))) for name in names]


def _by_split(metrics: Sequence[str]) -> list[str]:
    return sorted(metrics, key=lambda metric: (ORDER.index(split(metric)[0]), metric))
