"""`tunebook round …`: rounds of a project, and the report of one."""

import argparse
from typing import Any

from tunebook import rounds
from tunebook.cli import reports
from tunebook.cli.study import connect
from tunebook.cli.terminal import clean, table


def add_to(commands: Any, server: argparse.ArgumentParser) -> None:
    purpose = "make and list rounds, and report on one"
    verbs = commands.add_parser("round", help=purpose).add_subparsers(metavar="VERB", required=True)

    def add(name: str, run: Any, help_text: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = verbs.add_parser(
            name, parents=[server], help=help_text, description=help_text
        )
        parser.set_defaults(run=run)
        return parser

    create = add("create", _create, "make a round of a project, and the project where it is new")
    create.add_argument("project", help="name")
    create.add_argument("name")
    create.add_argument("--goal", default="", help="one narrow question")
    add("list", _list, "list rounds, newest first")
    report = add("report", _report, "write what a round says: one HTML file, or Markdown with pictures")
    report.add_argument("round", help="id, or a name that only one round has")
    reports.add_options(report)


def _create(options: argparse.Namespace) -> int:
    api = connect(options)
    made = rounds.create(api, options.project, options.name, goal=options.goal)
    print(f'Round {made.id} "{clean(made.name)}": {api.url}/rounds/{made.id}')
    return 0


def _list(options: argparse.Namespace) -> int:
    api = connect(options)
    rows = [(row["id"], row["studies"], row["name"], row["goal"]) for row in api.pages("/rounds")]
    print(table(("ID", "STUDIES", "NAME", "GOAL"), rows))
    return 0


def _report(options: argparse.Namespace) -> int:
    api = connect(options)
    reference = int(options.round) if options.round.isdecimal() else options.round
    return reports.write(api, "rounds", rounds.find(api, reference).id, options)
