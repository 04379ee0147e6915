"""`tunebook trial …`: trials in plain text, what their jobs printed, and one more attempt."""

import argparse
import json
import sys
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from tunebook.cli import job_logs
from tunebook.cli.study import connect, find_study
from tunebook.cli.terminal import clean, number, table

STATES = ("queued", "claimed", "running", "completed", "infeasible", "stopped", "failed")
PAGE_MOST = 200


def add_to(commands: Any, server: argparse.ArgumentParser) -> None:
    verbs = commands.add_parser("trial", help="look at trials").add_subparsers(metavar="VERB", required=True)

    def add(name: str, run: Any, help_text: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = verbs.add_parser(
            name, parents=[server], help=help_text, description=help_text
        )
        parser.set_defaults(run=run)
        return parser

    found = add("list", _list, "list trials of a study, newest first")
    found.add_argument("study", help="id or name")
    found.add_argument("--filter", metavar="EXPR", help="only these, like 'objective < 0.1 and lr < 0.1'")
    found.add_argument("--state", action="append", choices=STATES, help="only these; may be given again")
    found.add_argument("--limit", type=int, default=100, metavar="N", help="at most so many (%(default)s)")
    show = add("show", _show, "show one trial")
    show.add_argument("--json", action="store_true", help="the API's own answer")
    log = add("log", job_logs.run, "print the last lines of what a trial's job said")
    job_logs.add_options(log)
    retry = add("retry", _retry, "give a failed trial one more attempt")
    for parser in (show, log, retry):
        parser.add_argument("trial", type=int, help="id")


def _list(options: argparse.Namespace) -> int:
    api = connect(options)
    study = find_study(api, options.study)
    rows: list[tuple[object, ...]] = []
    wanted = {"filter": options.filter or "", "state": options.state or []}
    cursor: object = ""
    while cursor is not None and len(rows) < options.limit:
        asked = {**wanted, "limit": min(options.limit - len(rows), PAGE_MOST)}
        asked |= {"cursor": cursor} if cursor else {}
        page = api.get(f"/studies/{study['id']}/trials?{urlencode(asked, doseq=True)}")
        rows += [_row(trial) for trial in page["items"]]
        cursor = page["next"]
    print(table(("ID", "NUMBER", "STATE", "OBJECTIVE", "REASON"), rows))
    if cursor is not None:
        more = f"There are more: give a higher --limit, or use `tunebook study export {study['id']}`."
        print(more, file=sys.stderr)
    return 0


def _row(trial: Mapping[str, Any]) -> tuple[object, ...]:
    objective = "" if trial["objective"] is None else number(trial["objective"])
    return trial["id"], trial["number"], trial["state"], objective, trial["reason"]


def _show(options: argparse.Namespace) -> int:
    api = connect(options)
    trial = api.get(f"/trials/{options.trial}")
    attempts = api.get(f"/trials/{options.trial}/attempts")["items"]
    if options.json:
        print(json.dumps({**trial, "attempts": attempts}, indent=1))
        return 0
    print(f"Trial {trial['number']} of study {trial['study_id']}: {_state(trial)}")
    if trial.get("objective") is not None:
        print(f"  objective  {number(trial['objective'])} at step {trial['best_step']}")
    for name, value in trial["parameters"].items():
        print(f"  {clean(name)} = {number(value)}")
    rows = [(a["epoch"], a["host"], a["outcome"] or "still running", a["reason"] or "") for a in attempts]
    if rows:
        print(table(("ATTEMPT", "HOST", "OUTCOME", "REASON"), rows))
    print(f"  {api.url}/trials/{options.trial}")
    return 0


def _retry(options: argparse.Namespace) -> int:
    trial = connect(options).post(f"/trials/{options.trial}:retry")
    print(f"Trial {trial['number']} of study {trial['study_id']}: {_state(trial)}")
    return 0


def _state(trial: Mapping[str, Any]) -> str:
    reason = f" ({clean(trial['reason'])})" if trial.get("reason") else ""
    return f"{trial['state']}{reason}"
