"""`tunebook study …`: from a TOML file to a finished study."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tunebook import design
from tunebook.api import Api
from tunebook.cli import checking, reports, waiting
from tunebook.cli.terminal import clean, moment, table, tell
from tunebook.credentials import find
from tunebook.errors import Conflict, NotFound
from tunebook.findings import wait_for_findings

NAMESAKES_SHOWN = 5


def add_to(commands: Any, server: argparse.ArgumentParser) -> None:
    verbs = commands.add_parser("study", help="create, watch and export studies").add_subparsers(
        metavar="VERB", required=True
    )

    def add(name: str, run: Any, help_text: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = verbs.add_parser(
            name, parents=[server], help=help_text, description=help_text
        )
        parser.set_defaults(run=run)
        return parser

    create = add("create", _create, "create the study of a TOML file; workers take its trials at once")
    create.add_argument("file", type=Path)
    start = add("run", _run, "create the study of a TOML file and, with --wait, watch it to its end")
    start.add_argument("file", type=Path)
    start.add_argument("--wait", action="store_true")
    start.add_argument(
        "--timeout", type=float, metavar="SECONDS", help="with --wait: exit with 3 after this long"
    )
    add("list", _list, "list studies, newest first")
    add("show", _show, "show one study").add_argument("study", help="id or name")
    add_wait = add("wait", _wait, "watch a study to its end; Ctrl-C leaves it running")
    add_wait.add_argument("study", help="id or name")
    add_wait.add_argument("--timeout", type=float, metavar="SECONDS", help="exit with 3 after this long")
    export = add("export", _export, "write trials as CSV or JSON Lines")
    export.add_argument("study", help="id or name")
    export.add_argument("--filter", metavar="EXPR", help="only these, like 'state = completed and lr < 0.1'")
    export.add_argument("--format", choices=("csv", "jsonl"), default="csv")
    export.add_argument("--output", type=Path, help="a file instead of standard output")
    check = add("check", _check, "print the findings of a study; exits with 1 for those of --fail-on")
    check.add_argument("study", help="id or name")
    check.add_argument("--fail-on", choices=tuple(checking.FAIL_ON), default="fail")
    check.add_argument("--format", choices=("table", "json", "junit", "sarif"), default="table")
    check.add_argument(
        "--timeout", type=float, default=60.0, metavar="SECONDS", help="exit with 3 when they do not come"
    )
    report = add("report", _report, "write what a study says: one HTML file, or Markdown with pictures")
    report.add_argument("study", help="id or name")
    reports.add_options(report)
    for parser in (verbs.choices["list"], verbs.choices["show"]):
        parser.add_argument("--json", action="store_true", help="the API's own answer")


def connect(options: argparse.Namespace) -> Api:
    credentials = find(options.url, data=options.data)
    return Api(credentials.url, credentials.token, timeout_seconds=30.0)


def _create(options: argparse.Namespace) -> int:
    _created(connect(options), options.file)
    return 0


def _run(options: argparse.Namespace) -> int:
    api = connect(options)
    study = _created(api, options.file)
    return waiting.wait(api, study["id"], timeout_seconds=options.timeout) if options.wait else 0


def _created(api: Api, file: Path) -> dict[str, Any]:
    plan = design.plan(design.load(file), beside=file.parent)
    for warning in design.check(api, plan):
        tell(warning, before="tunebook: note: ")
    study = design.create(api, plan)
    _tell_namesake(api, study)
    print(f'Study {study["id"]} "{clean(study["name"])}": {api.url}/studies/{study["id"]}', flush=True)
    return study


def _tell_namesake(api: Api, study: dict[str, Any]) -> None:
    same = _called(api, f"/projects/{study['project_id']}/studies", study["name"], limit=2)
    for other in [other for other in same if other["id"] != study["id"]][:1]:
        problem = f"study {other['id']} of this project has the same name: tell them apart by id"
        tell({"field": "name", "problem": problem}, before="tunebook: note: ")


def _wait(options: argparse.Namespace) -> int:
    api = connect(options)
    return waiting.wait(api, find_study(api, options.study)["id"], timeout_seconds=options.timeout)


def _list(options: argparse.Namespace) -> int:
    api = connect(options)
    studies = list(api.pages("/studies"))
    if options.json:
        print(json.dumps(studies, indent=1))
        return 0
    projects = {project["id"]: project["name"] for project in api.pages("/projects")}
    rows = [
        (s["id"], s["state"], _trials(s), moment(s["created_at"]), projects.get(s["project_id"]), s["name"])
        for s in studies
    ]
    print(table(("ID", "STATE", "TRIALS", "CREATED", "PROJECT", "NAME"), rows))
    return 0


def _show(options: argparse.Namespace) -> int:
    api = connect(options)
    study = find_study(api, options.study)
    print(json.dumps(study, indent=1) if options.json else waiting.summary(api, study))
    return 0


def _export(options: argparse.Namespace) -> int:
    api = connect(options)
    study = find_study(api, options.study)
    pieces = api.stream(f"/studies/{study['id']}/export.{options.format}", {"filter": options.filter})
    if options.output is None:
        for piece in pieces:
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
        return 0
    reports.keep(options.output, pieces)
    return 0


def _report(options: argparse.Namespace) -> int:
    api = connect(options)
    return reports.write(api, "studies", find_study(api, options.study)["id"], options)


def _check(options: argparse.Namespace) -> int:
    api = connect(options)
    study = find_study(api, options.study)
    found = wait_for_findings(api, study, timeout_seconds=options.timeout)
    if found is None:
        print(f"No findings of this state of the study after {options.timeout:g} s.", file=sys.stderr)
        return waiting.NOT_IN_TIME
    items = found["items"]
    formats = {
        "table": lambda: checking.as_table(items),
        "json": lambda: json.dumps(found, indent=1),
        "junit": lambda: checking.as_junit(study, items),
        "sarif": lambda: checking.as_sarif(api, study, items),
    }
    print(formats[options.format]())
    return int(any(item["verdict"] in checking.FAIL_ON[options.fail_on] for item in items))


def find_study(api: Api, reference: str) -> dict[str, Any]:
    """By id, or by a name that only one study has, alone or as `project/name`."""
    study: dict[str, Any]
    if reference.isdecimal():
        study = api.get(f"/studies/{reference}")
        return study
    found = _called(api, "/studies", reference, limit=NAMESAKES_SHOWN + 1) or _of_project(api, reference)
    if not found:
        raise NotFound(404, "not_found", f"No study is called {reference!r}.")
    if len(found) > 1:
        raise _ambiguous(reference, found)
    study = found[0]
    return study


def _called(api: Api, path: str, name: str, *, limit: int) -> list[dict[str, Any]]:
    """The newest first."""
    found: list[dict[str, Any]] = api.get(path, params={"name": name, "limit": limit})["items"]
    return found


def _of_project(api: Api, reference: str) -> list[dict[str, Any]]:
    project, _, name = reference.partition("/")
    ids = [found["id"] for found in api.pages("/projects") if found["name"] == project] if name else []
    return [
        study
        for id_ in ids
        for study in _called(api, f"/projects/{id_}/studies", name, limit=NAMESAKES_SHOWN + 1)
    ]


def _ambiguous(reference: str, found: Sequence[dict[str, Any]]) -> Conflict:
    shown = [f"{study['id']} (created {moment(study['created_at'])})" for study in found[:NAMESAKES_SHOWN]]
    more = ", …" if len(found) > NAMESAKES_SHOWN else ""
    detail = f"Several studies are called {reference!r}: use an id."
    return Conflict(409, "ambiguous", detail, {"remedy": f"The newest: {', '.join(shown)}{more}."})


def _trials(study: dict[str, Any]) -> str:
    ended = sum(study["counts"].get(state, 0) for state in waiting.ENDED)
    return f"{ended}/{study['budget']}"
