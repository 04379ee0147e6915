"""`tunebook trial …`: one trial in plain text."""

import argparse
import json
from collections.abc import Mapping
from typing import Any

from tunebook.cli.study import connect
from tunebook.cli.terminal import clean, number, table


def add_to(commands: Any, server: argparse.ArgumentParser) -> None:
    verbs = commands.add_parser("trial", help="look at trials").add_subparsers(metavar="VERB", required=True)
    show = verbs.add_parser("show", parents=[server], help="show one trial", description="show one trial")
    show.add_argument("trial", type=int, help="id")
    show.add_argument("--json", action="store_true", help="the API's own answer")
    show.set_defaults(run=_show)


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


def _state(trial: Mapping[str, Any]) -> str:
    reason = f" ({clean(trial['reason'])})" if trial.get("reason") else ""
    return f"{trial['state']}{reason}"
