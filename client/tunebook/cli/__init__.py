"""The `tunebook` command.

Exit status: 0 done, 1 it went wrong, 2 the input is wrong, 3 not done in time, 130 Ctrl-C.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from tunebook.cli import extensions, login, rounds, study, trial
from tunebook.cli.terminal import clean, tell
from tunebook.errors import ApiError, TunebookError


def main(arguments: Sequence[str] | None = None) -> int:
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        if arguments and arguments[0] in extensions.COMMANDS:
            return extensions.run(arguments[0], arguments[1:])
        options = _parser().parse_args(arguments)
        status: int = options.run(options)
        return status
    except ApiError as error:
        return _explain(error)
    except TunebookError as error:
        print(f"tunebook: {clean(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of a pipe (head) has had enough; the interpreter's own flush must not complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tunebook", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    server = argparse.ArgumentParser(add_help=False)
    server.add_argument("--url", help="address of the server (else TUNEBOOK_URL, or where you logged in)")
    server.add_argument("--data", help="data folder of a running `tunebook up`")
    study.add_to(commands, server)
    rounds.add_to(commands, server)
    trial.add_to(commands, server)
    login.add_to(commands)
    for name, (purpose, _) in extensions.COMMANDS.items():
        commands.add_parser(name, help=purpose)
    return parser


def _explain(error: ApiError) -> int:
    """Every wrong value with its field and remedy; 2 when the input was at fault."""
    print(f"tunebook: {clean(error.detail or error)}", file=sys.stderr)
    for fault in error.faults:
        tell(fault, before="  ")
    if not error.faults and error.problem.get("remedy"):
        print(f"  {clean(error.problem['remedy'])}", file=sys.stderr)
    return 2 if error.status in (400, 404, 413, 422) else 1
