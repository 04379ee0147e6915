"""A trial as training code sees it, whoever started the process."""

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Never, SupportsFloat, SupportsIndex
from urllib.parse import unquote, urlsplit

from tunebook.points import checked_step, checked_values, encode
from tunebook.points import number as scalar
from tunebook.spool import Record, SpoolWriter

log = logging.getLogger("tunebook")


class Trial:
    """One configuration to train once: read `parameters`, call `report` now and then.

    Nothing here waits for the network or raises because of it.
    """

    _is_silent = False
    """In a process of a trial that another one reports for: values are not even looked at."""

    def __init__(self, claim: Mapping[str, Any], spool: SpoolWriter | None) -> None:
        self.id: int = claim["trial_id"]
        self.number: int = claim["number"]
        """Counts from 0 within the study."""
        self.epoch: int = claim["epoch"]
        """Which attempt this is, from 1; never a pass over the training data."""
        self.study: str = claim["study"]
        self.parameters: Mapping[str, Any] = dict(claim["parameters"])
        """Active hyperparameters and fixed values by name: numbers, strings and booleans."""
        self.seed: int = claim["seed"]
        """Seeds initialisation and data order: trials differ in it, attempts at one trial do not, nor the
        processes of one job."""
        resume = claim.get("resume") or {}
        self.resume_step: int | None = resume.get("step")
        self.resume_from: Path | None = _local_path(resume["uri"]) if resume else None
        """The last registered checkpoint of an earlier attempt, where there is one."""
        self._objective: str | None = (claim.get("objective") or {}).get("metric")
        self._spool = spool
        self._told: set[str] = set()

    def __reduce__(self) -> Never:
        raise TypeError(
            "A trial stays in the process that trains it: send its parameters and its seed, or have the "
            "other process ask for a trial of its own (a Client and a Study can be sent)."
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.number} of {self.study!r}: {self.parameters}>"

    @property
    def should_stop(self) -> bool:
        """True once the trial was cancelled or given to somebody else: save what you like and leave."""
        return False

    def report(self, step: SupportsIndex, values: Mapping[str, SupportsFloat]) -> None:
        """Records metrics at a training step: `trial.report(100, {"train/loss": 0.7, "valid/error": 0.1})`.

        Takes anything that `float()` takes, NumPy and PyTorch scalars too; NaN and infinity are kept as data.
        Reporting a step again replaces its value. Returns in microseconds. Raises TypeError or ValueError for
        a wrong argument, and nothing else.
        """
        if self._is_silent:
            return
        number, numbers = checked_step(step), checked_values(values)
        if self._spool is None or not numbers:
            return
        record = {"type": "report", "step": number, "values": numbers, "time": time.time()}
        # In a full spool the reserve is for what decides the study.
        objective = {name: numbers[name] for name in (self._objective,) if name in numbers}
        if not self._spool.append(record, instead={**record, "values": objective} if objective else None):
            self._complain("report")

    def checkpoint(self, step: SupportsIndex, path: str | Path, metric: SupportsFloat | None = None) -> None:
        """Registers a complete file or folder that this trial can be resumed from at `step`.

        `metric`: its quality, by which the best are kept; without it the objective's last value up to `step`.
        Returns at once; the worker copies what is there to where checkpoints are kept, so leave it as it is.
        Raises FileNotFoundError when it is not there: write it first, under another name, then rename it.
        """
        if self._is_silent:
            return
        number, place = checked_step(step), Path(path).absolute()
        if not place.exists():
            raise FileNotFoundError(f"checkpoint {place} does not exist")
        record: Record = {"type": "checkpoint", "step": number, "path": str(place)}
        if metric is not None:
            record["metric"] = encode(scalar("metric", metric))
        self._append(record)

    def _append(self, record: Record, *, last: bool = False) -> None:
        if self._spool is not None and not self._spool.append(record, important=True, last=last):
            self._complain(record["type"])

    def _complain(self, kind: str) -> None:
        """Once where nothing will be kept any more; each time for what was lost otherwise, but for reports,
        which are counted."""
        if self._spool is None:
            return
        never = self._why_never()
        if never and never not in self._told:
            self._told.add(never)
            log.warning("Trial %d %s: this %s is not kept.", self.number, never, kind)
        elif not never and kind != "report":
            spool = self._spool
            log.warning("The spool %s %s: a %s record was dropped.", spool.folder, spool.trouble, kind)

    def _why_never(self) -> str:
        if self._spool is None:
            return ""
        if self._spool.inherited:
            return "is of the process that this one was forked from, which alone can report it"
        return "has ended" if self._spool.closed else ""


def checked_reason(reason: str) -> str:
    if not isinstance(reason, str):
        raise TypeError(f"reason is {type(reason).__name__}; use a string")
    return reason[:2000]


def _local_path(uri: str) -> Path:
    parts = urlsplit(uri)
    return Path(unquote(parts.path)) if parts.scheme == "file" else Path(uri)
