"""For a loop of one's own: ask for a trial, train it, report, finish.

study = tunebook.Client().study("optimizer")
for trial in study.ask_each():
    with trial:
        for step in range(1000):
            …
            trial.report(step, {"valid/error": error})
"""

import atexit
import hashlib
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import quote

from tunebook import design, rounds, trial_table
from tunebook.api import Api, patiently
from tunebook.credentials import find
from tunebook.errors import Conflict, NotFound, TunebookError
from tunebook.figure import Figure
from tunebook.findings import Findings
from tunebook.leftovers import Leftovers, keep, spool_root
from tunebook.reporting import FLUSH_SECONDS, Courier, Sender
from tunebook.rounds import Round
from tunebook.spool import SpoolHeld, SpoolReader, SpoolWriter
from tunebook.trial import Trial, checked_reason
from tunebook.trial_table import Frame, State

HELD_SECONDS = 15.0
"""How long another process may take to send what an earlier one left in a spool."""
EndState = Literal["completed", "infeasible", "stopped", "failed"]


class AskedTrial(Trial):
    """A trial that this process asked for. As a context manager it finishes itself:

    completed at the end of the block, failed (with the error as reason) when the block raises, stopped when
    the trial was cancelled.
    """

    def __init__(self, claim: Mapping[str, Any], spool: SpoolWriter, courier: Courier) -> None:
        super().__init__(claim, spool)
        self._writer, self._courier = spool, courier
        self._finished = False

    @property
    def should_stop(self) -> bool:
        return self._courier.cancelled.is_set() or self._courier.lost.is_set()

    @property
    def settled(self) -> bool:
        """The server has acknowledged the end, or wants nothing more from this process."""
        return self._courier.sender.finished or self._courier.lost.is_set()

    def finish(self, state: EndState = "completed", reason: str = "") -> bool:
        """Ends the trial, waiting at most five seconds for the server; the first call counts.

        True when the server has acknowledged it, False when it is still on its way, or came too late.
        """
        if state not in ("completed", "infeasible", "stopped", "failed"):
            raise ValueError(f"state is {state!r}; use completed, infeasible, stopped or failed")
        if not self._finished:
            self._finished = True
            end = {"state": state, "reason": checked_reason(reason), "dropped": self._writer.dropped}
            self._append({"type": "finish", **end}, last=True)
            self._writer.close()
        self._courier.flush(FLUSH_SECONDS)
        return self._courier.sender.finished

    def leave(self, timeout_seconds: float) -> None:
        """Sends what is spooled without ending the trial, which whoever asks for it again goes on with."""
        self._writer.close()
        self._courier.flush(timeout_seconds)

    def infeasible(self, reason: str) -> bool:
        """These values cannot work (diverged, out of memory): a result, not an error."""
        return self.finish("infeasible", reason)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._finished:
            return
        if error is None:
            self.finish("stopped" if self.should_stop else "completed")
        elif isinstance(error, Exception):
            self.finish("failed", f"{type(error).__name__}: {error}")
        else:
            self.finish("stopped", type(error).__name__)


class Study:
    """A study on the server, as a source of trials."""

    def __init__(self, client: "Client", document: Mapping[str, Any]) -> None:
        self._client = client
        self.id: int = document["id"]
        self.name: str = document["name"]
        self._held: dict[str, AskedTrial] = {}
        self._lock = threading.Lock()

    def ask(self, *, client_id: str | None = None, patience_seconds: float = 300.0) -> AskedTrial | None:
        """The next trial, or None when the study has no more to give.

        A process that was restarted and asks with the `client_id` it had before gets its own running trial
        back. Waits up to `patience_seconds` for a server that is away, then raises Unreachable.
        """
        with self._lock:
            name = client_id or self._free_name()
            asked = {"client_id": name, "count": 1, "host": socket.gethostname()}
            try:
                answer = patiently(
                    lambda: self._client.api.post(f"/studies/{self.id}/trials:ask", asked),
                    patience_seconds=patience_seconds,
                )
            except Conflict:
                return None  # paused or finished
            if not answer["trials"]:
                return None
            self._held[name] = self._client.hold(answer["trials"][0])
            return self._held[name]

    def ask_each(self) -> Iterator[AskedTrial]:
        """Trials one after another until the budget is used up; each is finished before the next is asked."""
        while (trial := self.ask()) is not None:
            yield trial
            trial.finish("stopped" if trial.should_stop else "completed")

    def trials(
        self,
        *,
        frame: Frame = "auto",
        limit: int | None = None,
        sort: str = "number",
        state: State | Sequence[State] = (),
    ) -> Any:
        """A row for every trial: its number, id, state, objective, steps and times, and a column for each key
        of the search space (`parameters.KEY` for a key that is called like one of the others).

        `frame` is what comes back: a list of dicts, or a DataFrame of pandas or polars; "auto" takes what is
        there, pandas first, else the list. `sort`: a column of the API, `parameters.KEY` or
        `last.METRIC`, with "-" in front turned round. Raises Invalid for a wrong `sort` or `state`,
        ImportError for a library that is not installed.
        """
        made = trial_table.maker(frame)
        states = (state,) if isinstance(state, str) else tuple(state)
        return made(*trial_table.read(self._client.api, self.id, sort=sort, states=states, limit=limit))

    def findings(self) -> Findings:
        """What the checklist says: item, subject, verdict, sentence, evidence, and a proposal where there is
        one. Empty before the server has looked for the first time.
        """
        return Findings(self._client.api.get(f"/studies/{self.id}/findings")["items"])

    def figure(self, kind: str, *, theme: Literal["light", "dark"] = "light", **options: object) -> Figure:
        """A figure of the study by its kind ("axis", "isolation", …) and options, as its address has them."""
        path = f"/studies/{self.id}/figures/{quote(kind, safe='')}"
        return Figure(self._client.api.get(path, params={**options, "theme": theme}), path)

    def _free_name(self) -> str:
        """A client id names one running trial: one whose end is still on its way keeps its name."""
        for name, trial in self._held.items():
            if trial.settled:
                return name
        return f"{self._client.id}-{len(self._held)}"


class Client:
    """One server, as one user. Address and token come from the arguments, the environment, `tunebook login`,
    or a running `tunebook up`; `spool` is where unsent points wait (kept across restarts).
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        data: Path | str | None = None,
        spool: Path | str | None = None,
    ) -> None:
        credentials = find(url, token, data)
        self.api = Api(credentials.url, credentials.token)
        self.id = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._spools = Path(spool) if spool else spool_root()
        self._pid = os.getpid()
        self._trials: list[AskedTrial] = []
        self.leftovers = Leftovers(self._spools, credentials.url)
        """Sends what an earlier process left in the spool."""
        self.leftovers.start()
        atexit.register(self.close)

    def study(self, study: int | str) -> Study:
        """By id, or by a name that only one study has. Raises NotFound, or Conflict for several."""
        if isinstance(study, int):
            return Study(self, self.api.get(f"/studies/{study}"))
        found = self.api.get(f"/studies?name={quote(study, safe='')}&limit=2")["items"]
        if not found:
            raise NotFound(404, "not_found", f"No study is called {study!r}.")
        if len(found) > 1:
            raise Conflict(409, "ambiguous", f"Several studies are called {study!r}: use the id.")
        return Study(self, found[0])

    def create(self, document: Mapping[str, Any], *, folder: Path | str = ".") -> Study:
        """A new study from its document, as a TOML file has it; without `job` it is for a loop of one's own.

        `folder` is what the job's folder is relative to. Raises Invalid with every fault and creates nothing.
        """
        plan = design.plan(document, beside=Path(folder))
        design.check(self.api, plan)
        return Study(self, design.create(self.api, plan))

    def compare(self, studies: Sequence[int], *, by: str = "") -> dict[str, Any]:
        """Whether studies (2 to 12, by id) compare fairly, how their designs differ, and which has won, if
        any has. `by`: the key of what is fixed in each and names it, "study" for their names.
        """
        asked = {"studies": ",".join(map(str, studies)), "by": by}
        found: dict[str, Any] = self.api.get("/compare", params=asked)
        return found

    def figure(
        self,
        kind: str,
        *,
        studies: Sequence[int] = (),
        trials: Sequence[int] = (),
        theme: Literal["light", "dark"] = "light",
        **options: object,
    ) -> Figure:
        """A figure of several studies ("isolation", "best-of-k", "distribution"), or of trials of several
        ("curves"), by their ids."""
        named = {"studies": studies, "trials": trials}
        ids = {name: ",".join(map(str, chosen)) for name, chosen in named.items() if chosen}
        path = f"/figures/{quote(kind, safe='')}"
        return Figure(self.api.get(path, params={**options, **ids, "theme": theme}), path)

    def round(self, reference: int | str) -> Round:
        """By id, or by a name that only one round has. Raises NotFound, or Conflict for several."""
        return rounds.find(self.api, reference)

    def create_round(self, project: str, name: str, *, goal: str = "") -> Round:
        """A new round of a project, which is made where it is new; a study joins by `round` in its document.

        Raises Conflict when the project has a round of this name.
        """
        return rounds.create(self.api, project, name, goal=goal)

    def hold(self, claim: Mapping[str, Any]) -> AskedTrial:
        """Starts to spool, send and beat for a claimed trial."""
        described = _describe(claim)
        trial_id, epoch = described["trial_id"], described["epoch"]
        folder = self._spools / _folder_name(self.api.url, claim)
        self.leftovers.take(folder)
        writer = _open_spool(folder)
        keep(folder, url=self.api.url, token=claim["token"], trial_id=trial_id, epoch=epoch)
        timeout_seconds = min(10.0, claim["fence_seconds"] / 3)
        sender = Sender(
            Api(self.api.url, claim["token"], timeout_seconds=timeout_seconds),
            trial_id=trial_id,
            epoch=epoch,
            spool=SpoolReader(folder),
        )
        courier = Courier(sender, beat_seconds=claim["beat_seconds"], name=f"trial {described['number']}")
        courier.start()
        trial = AskedTrial(described, writer, courier)
        self._trials = [*(t for t in self._trials if not t.settled), trial]
        return trial

    def close(self) -> None:
        """Sends what is spooled, for at most five seconds; the rest waits for the next client here."""
        atexit.unregister(self.close)
        if os.getpid() != self._pid:
            return  # a fork has none of the threads
        deadline = time.monotonic() + FLUSH_SECONDS
        self.leftovers.close()
        for trial in self._trials:
            trial.leave(max(deadline - time.monotonic(), 0.0))
        self.api.close()


def _describe(claim: Mapping[str, Any]) -> dict[str, Any]:
    trial = claim["trial"]
    return {
        "trial_id": trial["id"],
        "number": trial["number"],
        "epoch": claim["epoch"],
        "study": claim["study"]["name"],
        "parameters": trial["parameters"],
        "seed": trial["seed"],
        "resume": claim.get("resume"),
        "objective": claim.get("objective"),
    }


def _open_spool(folder: Path) -> SpoolWriter:
    """Waits while another process sends what was left in this spool."""
    deadline = time.monotonic() + HELD_SECONDS
    while True:
        try:
            return SpoolWriter(folder)
        except SpoolHeld:
            if time.monotonic() > deadline:
                raise TunebookError(
                    "Another process on this host runs this trial: give each process a client_id of its own."
                ) from None
            time.sleep(0.1)


def _folder_name(url: str, claim: Mapping[str, Any]) -> str:
    # A fresh database may give out the same id at the same address: the time of creation tells them apart.
    mark = hashlib.sha256(f"{url} {claim['trial']['created_at']}".encode()).hexdigest()[:12]
    return f"trial-{claim['trial']['id']}-{claim['epoch']}-{mark}"
