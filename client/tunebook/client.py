"""For a loop of one's own: ask for a trial, train it, report, finish.

study = tunebook.Client().study("optimizer")
for trial in study.ask_each():
    with trial:
        for step in range(1000):
            …
            trial.report(step, {"valid/error": error})

In several processes, the same loop runs in each: a fork is a client of its own, and so is whoever was sent a
`Client` or a `Study` (with its token) by multiprocessing or joblib. A trial stays in the process that asked
for it: a fork that reports it is warned that this is not kept, and sending it raises TypeError.
"""

import atexit
import functools
import hashlib
import itertools
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, SupportsIndex
from urllib.parse import quote

from tunebook import design, forks, rounds, trial_table
from tunebook.api import Api, full_jitter, patiently
from tunebook.asked import AskedTrial
from tunebook.credentials import find
from tunebook.errors import Conflict, NotFound, TunebookError, Unreachable
from tunebook.figure import Figure
from tunebook.findings import Findings, wait_for_findings
from tunebook.leftovers import Ending, Leftovers, keep, spool_root
from tunebook.reporting import FLUSH_SECONDS, Courier, Sender, remove
from tunebook.rounds import Round
from tunebook.spool import SpoolHeld, SpoolReader, SpoolWriter
from tunebook.trial import log
from tunebook.trial_table import Frame, Row, State

HELD_SECONDS = 15.0
"""How long another process may take to send what an earlier one left in a spool."""
PATIENCE_SECONDS = 300.0
"""For a server that is away."""
FINDINGS_SECONDS = 15.0
"""The server looks at a study at most every five seconds; at a large one more rarely."""
COME_BACK_SECONDS, COME_BACK_MOST_SECONDS = 1.0, 10.0
"""Between two looks for a trial that others hold; the longer the wait, the rarer."""


class Study:
    """A study on the server, as a source of trials."""

    def __init__(self, client: "Client", document: Mapping[str, Any]) -> None:
        self._client = client
        self.id: int = document["id"]
        self.name: str = document["name"]
        self._place = client.place()
        self.renew()
        forks.watch(self)

    def renew(self) -> None:
        self._held: dict[str, AskedTrial] = {}
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[object, ...]:
        return Study, (self._client, {"id": self.id, "name": self.name})

    def __repr__(self) -> str:
        return f"<Study {self.id} {self.name!r} at {self._client.api.url}>"

    def ask(
        self, *, client_id: str | None = None, patience_seconds: float = PATIENCE_SECONDS
    ) -> AskedTrial | None:
        """The next trial, or None when the study has no more to give.

        A process that was restarted and asks with the `client_id` it had before gets its own running trial
        back; where that trial has ended and the server does not know yet, its end is sent first. Waits up to
        `patience_seconds` for that and for a server that is away, then raises Unreachable.
        """
        deadline, attempt = time.monotonic() + patience_seconds, 0
        while client_id is None or self._client.deliver_end(self.id, client_id, _left(deadline)):
            try:
                return self._ask(client_id, deadline)
            except Ending:
                wait_seconds = full_jitter(attempt)
            if wait_seconds > _left(deadline):
                break
            time.sleep(wait_seconds)
            attempt += 1
        raise Unreachable(f"The end of the last trial of {client_id!r} is still on its way.")

    def _ask(self, client_id: str | None, deadline: float) -> AskedTrial | None:
        with self._lock:
            name = client_id or self._free_name()
            asked = {"client_id": name, "count": 1, "host": socket.gethostname()}
            try:
                answer = patiently(
                    lambda: self._client.api.post(f"/studies/{self.id}/trials:ask", asked),
                    patience_seconds=_left(deadline),
                )
            except Conflict:
                return None  # paused or finished
            if not answer["trials"]:
                return None
            self._held[name] = self._client.hold(answer["trials"][0])
            return self._held[name]

    def ask_each(self) -> Iterator[AskedTrial]:
        """Trials one after another, each finished before the next is asked for, until the budget is used up
        and nobody else holds a trial that may come back, or the study is paused.

        A loop that is left early (break, an error, Ctrl-C) releases the trial that it holds, and the next
        loop gets it at once; one that is to count as failed is trained `with trial:`.
        """
        while (trial := self._next()) is not None:
            try:
                yield trial
            except BaseException:  # GeneratorExit mostly: a generator is not told why its loop was left
                trial.let_go()
                raise
            trial.__exit__(None, None, None)

    @property
    def url(self) -> str:
        """Of its page."""
        return f"{self._client.api.url}/studies/{self.id}"

    @property
    def state(self) -> str:
        """running, paused or finished. Asks the server each time."""
        state: str = self._client.api.get(f"/studies/{self.id}")["state"]
        return state

    @property
    def best_trial(self) -> Row | None:
        """The trial with the best objective so far, as a row of `trials(frame="list")`; None before there is
        one. Asks the server each time."""
        best = self._client.api.get(f"/studies/{self.id}")["best_trial_id"]
        if best is None:
            return None
        number = self._client.api.get(f"/trials/{best}")["number"]
        rows: list[Row] = self.trials(frame="list", filter=f"number = {number}")
        return rows[0]

    def trials(
        self,
        *,
        frame: Frame = "auto",
        limit: int | None = None,
        sort: str = "number",
        state: State | Sequence[State] = (),
        filter: str = "",  # noqa: A002  what the API and the command line call it
    ) -> Any:
        """A row for every trial: its number, id, state, objective, steps and times, and a column for each key
        of the search space (`parameters.KEY` for a key that is called like one of the others).

        `frame` is what comes back: a list of dicts, or a DataFrame of pandas or polars; "auto" takes what is
        there, pandas first, else the list. `sort`: a column of the API, `parameters.KEY` or
        `last.METRIC`, with "-" in front turned round. `filter`: only these, as on the Trials page, like
        "state = completed and learning_rate > 1e-4". Raises Invalid for a wrong `sort`, `state` or `filter`,
        ImportError for a library that is not installed.
        """
        made = trial_table.maker(frame)
        states = (state,) if isinstance(state, str) else tuple(state)
        read = trial_table.read(
            self._client.api, self.id, sort=sort, states=states, limit=limit, expression=filter
        )
        return made(*read)

    def edit(self, **changes: object) -> None:
        """Changes what can be changed while a study runs: `study.edit(budget=200)`, `note`, `state`,
        `parallel`, `checks`, `checkpoints`, or the ranges of its `space`, in which new trials are drawn from
        then on. Raises Invalid with every fault.
        """
        self._client.api.patch(f"/studies/{self.id}", design.plain(changes))

    def findings(self, *, timeout_seconds: float = FINDINGS_SECONDS) -> Findings:
        """What the checklist says: item, subject, verdict, sentence, evidence, and a proposal where there is
        one. Empty for a study without trials.

        Waits up to `timeout_seconds` until all that has been reported is in them; `is_current` of what comes
        back says whether it is.
        """
        api = self._client.api
        study = api.get(f"/studies/{self.id}")
        if not any(study["counts"].values()):
            return Findings()
        found = wait_for_findings(api, study, timeout_seconds=timeout_seconds)
        seen = found or api.get(f"/studies/{self.id}/findings")
        return Findings(seen["items"], revision=seen["revision"], is_current=found is not None)

    def figure(self, kind: str, *, theme: Literal["light", "dark"] = "light", **options: object) -> Figure:
        """A figure of the study by its kind ("axis", "isolation", …) and options, as its address has them."""
        path = f"/studies/{self.id}/figures/{quote(kind, safe='')}"
        return Figure(self._client.api.get(path, params={**options, "theme": theme}), path)

    def _next(self) -> AskedTrial | None:
        """Waits while others hold trials that may come back: lost with their process, failed, released."""
        attempt = 0
        while (trial := self.ask()) is None and self._may_come_back():
            if not attempt:
                log.info("Study %d: others hold the last trials; waiting for what may come back.", self.id)
            time.sleep(full_jitter(attempt, COME_BACK_SECONDS, cap=COME_BACK_MOST_SECONDS))
            attempt += 1
        return trial

    def _may_come_back(self) -> bool:
        study = patiently(
            lambda: self._client.api.get(f"/studies/{self.id}"), patience_seconds=PATIENCE_SECONDS
        )
        counts, mine = study["counts"], sum(not trial.settled for trial in list(self._held.values()))
        held: int = counts.get("claimed", 0) + counts.get("running", 0)
        return study["state"] == "running" and (held > mine or bool(counts.get("queued")))

    def _free_name(self) -> str:
        """A client id names one running trial: one whose end is still on its way keeps its name."""
        for name, trial in self._held.items():
            if trial.settled:
                return name
        return f"{self._client.id}-{self._place}-{len(self._held)}"


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
        self._spools = Path(spool) if spool else spool_root()
        self._places = itertools.count()
        self.renew()
        self.leftovers.start()
        atexit.register(self.close)
        forks.watch(self)

    def renew(self) -> None:
        self.id = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._trials: list[AskedTrial] = []
        self._lock = threading.Lock()
        self.leftovers = Leftovers(self._spools, self.api.url)
        """Sends what an earlier process left in the spool; in a fork the other process does."""

    def __reduce__(self) -> tuple[object, ...]:
        return _client_here, (self.api.url, self.api._token, self._spools.absolute())

    def __repr__(self) -> str:
        return f"<Client of {self.api.url}>"

    def place(self) -> int:
        """Another number each time: two `Study` of one study ask under names of their own."""
        return next(self._places)

    def study(self, study: SupportsIndex | str) -> Study:
        """By id, or by a name that only one study has. Raises NotFound, or Conflict for several."""
        named = design.reference("study", study)
        if isinstance(named, int):
            return Study(self, self.api.get(f"/studies/{named}"))
        found = self.api.get(f"/studies?name={quote(named, safe='')}&limit=2")["items"]
        if not found:
            raise NotFound(404, "not_found", f"No study is called {named!r}.")
        if len(found) > 1:
            raise Conflict(409, "ambiguous", f"Several studies are called {named!r}: use the id.")
        return Study(self, found[0])

    def create(self, document: Mapping[str, Any] | Path | str, *, folder: Path | str | None = None) -> Study:
        """A new study from its document, or from the TOML file that holds it; without `job` it is for a loop
        of one's own.

        `folder` is what the job's folder is relative to: unless given, where the file is, or where this
        process is. Raises Invalid with every fault and creates nothing.
        """
        if isinstance(document, Path | str):
            file = Path(document)
            document, folder = design.load(file), folder or file.parent
        plan = design.plan(document, beside=Path(folder or "."))
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

    def round(self, reference: SupportsIndex | str) -> Round:
        """By id, or by a name that only one round has. Raises NotFound, or Conflict for several."""
        return rounds.find(self.api, reference)

    def create_round(self, project: str, name: str, *, goal: str = "") -> Round:
        """A new round of a project, which is made where it is new; a study joins by `round` in its document.

        Raises Conflict when the project has a round of this name.
        """
        return rounds.create(self.api, project, name, goal=goal)

    def hold(self, claim: Mapping[str, Any]) -> AskedTrial:
        """Starts to spool, send and beat for a claimed trial. Raises Ending where the claim may be of before
        the trial's end."""
        described = _describe(claim)
        trial_id, epoch = described["trial_id"], described["epoch"]
        folder = self._spools / _folder_name(self.api.url, claim)
        if not self.leftovers.take(folder):
            raise Ending
        writer = _open_spool(folder)
        keep(folder, url=self.api.url, token=claim["token"], trial_id=trial_id, epoch=epoch)
        timeout_seconds = min(10.0, claim["fence_seconds"] / 3)
        sender = Sender(
            Api(self.api.url, claim["token"], timeout_seconds=timeout_seconds),
            trial_id=trial_id,
            epoch=epoch,
            spool=SpoolReader(folder),
        )
        name = f"trial {described['number']}"
        courier = Courier(sender, writer.hold, beat_seconds=claim["beat_seconds"], name=name)
        courier.start()
        trial = AskedTrial(described, writer, courier)
        atexit.unregister(self.close)  # multiprocessing empties the list in its forks
        atexit.register(self.close)
        with self._lock:
            self._trials = [*(t for t in self._trials if not t.settled), trial]
        return trial

    def deliver_end(self, study_id: int, client_id: str, timeout_seconds: float) -> bool:
        """Where the last trial of this name here has ended: waits until the server knows."""
        asked_as = (study_id, client_id)
        last = [trial for trial in self._trials if trial.asked_as == asked_as][-1:]
        return all(trial.deliver_end(timeout_seconds) for trial in last)

    def close(self) -> None:
        """Sends what is spooled, for at most five seconds; the rest waits for the next client here."""
        atexit.unregister(self.close)
        deadline = time.monotonic() + FLUSH_SECONDS
        self.leftovers.close()
        for trial in self._trials:
            trial.leave(max(deadline - time.monotonic(), 0.0))
        self.api.close()


@functools.cache
def _client_here(url: str, token: str, spool: Path) -> Client:
    """What a client that was sent here becomes: one for this process, however often it is sent."""
    return Client(url, token, spool=spool)


def _describe(claim: Mapping[str, Any]) -> dict[str, Any]:
    trial = claim["trial"]
    return {
        "trial_id": trial["id"],
        "number": trial["number"],
        "epoch": claim["epoch"],
        "study": claim["study"]["name"],
        "asked_as": (claim["study"]["id"], trial["client_id"]),
        "parameters": trial["parameters"],
        "seed": trial["seed"],
        "resume": claim.get("resume"),
        "objective": claim.get("objective"),
    }


def _open_spool(folder: Path) -> SpoolWriter:
    """Waits while another process sends what was left in this spool, which may be the end: then Ending."""
    deadline, waited = time.monotonic() + HELD_SECONDS, False
    while True:
        try:
            writer = SpoolWriter(folder)
        except SpoolHeld:
            if time.monotonic() > deadline:
                raise TunebookError(
                    "Another loop on this host runs this trial: give each loop a client_id of its own."
                ) from None
            waited = True
            time.sleep(0.1)
            continue
        if not waited:
            return writer
        if not writer.written:
            remove(folder)
        writer.close()
        raise Ending


def _left(deadline: float) -> float:
    return max(deadline - time.monotonic(), 0.0)


def _folder_name(url: str, claim: Mapping[str, Any]) -> str:
    # A fresh database may give out the same id at the same address: the time of creation tells them apart.
    mark = hashlib.sha256(f"{url} {claim['trial']['created_at']}".encode()).hexdigest()[:12]
    return f"trial-{claim['trial']['id']}-{claim['epoch']}-{mark}"
