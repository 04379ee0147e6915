"""What a job needs of the host that runs it, what a worker offers, and the queue that joins the two."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from tunebook_server.domain.document import Document, show

GPUS_MOST, CPUS_MOST, PROCESSES_MOST, LABELS_MOST = 64, 4096, 1024, 16
QUEUE = "trials"
"""Of jobs that any worker can run."""
WORD = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,62}[A-Za-z0-9])?")
"""A key or a value of a label: it becomes part of a queue's name."""
WORD_REMEDY = "Use letters, digits, dot, dash and underscore, 64 at most."


@dataclass(frozen=True, slots=True)
class Resources:
    """`gpus`: whole devices, the trial's alone; None: one where the worker has any. `cpus`: cores, 0 for an
    undivided share of the host. `labels`: what the worker must be labelled with, such as
    {"gpu": "h200", "zone": "a"}."""

    gpus: int | None = None
    cpus: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, part: Document) -> "Resources":
        """Adds every fault to the document's."""
        part.only("gpus", "cpus", "labels")
        return cls(
            part.integer("gpus", low=0, high=GPUS_MOST) if "gpus" in part else None,
            part.integer("cpus", low=0, high=CPUS_MOST, default=0),
            read_labels(part.part("labels")),
        )

    def document(self) -> dict[str, object]:
        """What it says, without what it leaves open."""
        return {
            **({"gpus": self.gpus} if self.gpus is not None else {}),
            **({"cpus": self.cpus} if self.cpus else {}),
            **({"labels": dict(self.labels)} if self.labels else {}),
        }

    @property
    def queue(self) -> str:
        """Where hints for such a job go: one queue for each set of needs, so that they reach only workers
        that can run it."""
        needs = [f"{name}={amount}" for name, amount in (("gpus", self.gpus), ("cpus", self.cpus)) if amount]
        needs += [f"{key}:{value}" for key, value in sorted(self.labels.items())]
        return ".".join([QUEUE, ",".join(needs)]) if needs else QUEUE


def read_labels(part: Document) -> dict[str, str]:
    """Words by words; each that is none is a fault."""
    if len(part.content) > LABELS_MOST:
        part.faults.append(
            part.made_fault(f"has {len(part.content)} entries", f"Give at most {LABELS_MOST}.")
        )
        return {}
    labels: dict[str, str] = {}
    for key, value in part.content.items():
        if not isinstance(key, str) or not WORD.fullmatch(key):
            part.faults.append(part.made_fault(f"has the key {show(key)}", WORD_REMEDY))
        elif not isinstance(value, str) or not WORD.fullmatch(value):
            part.fault(key, f"is {show(value)}", WORD_REMEDY)
        else:
            labels[key] = value
    return labels
