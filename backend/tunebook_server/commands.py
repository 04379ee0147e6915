"""`tunebook up`, `tunebook server`, `tunebook control`: what the operator types, and how it says no."""

import argparse
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from tunebook_server.embedded.errors import CannotRun
from tunebook_server.settings import settings

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from tunebook_server.storage.engine import Engine

FAILED, WRONG_USE = 1, 2


def up(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="tunebook up",
        description="Runs all of Tunebook on this machine, in one folder; Ctrl-C stops it.",
    )
    parser.add_argument("--data", type=Path, help="the folder of everything; default: .tunebook")
    parser.add_argument("--port", type=_port, help="of the dashboard; 0 for any free one; default: 8787")
    parser.add_argument(
        "--slots", type=_slots, help="trials at the same time; default: one per GPU, else one"
    )
    parser.add_argument("--run", type=Path, metavar="STUDY.toml", help="create this study and watch it")
    arguments = parser.parse_args(list(argv))
    if arguments.run and not arguments.run.is_file():
        parser.error(f"--run {arguments.run}: there is no such file.")

    def start() -> int:
        from tunebook_server.embedded import up as embedded

        data, port = arguments.data or settings().data, settings().port
        port = port if arguments.port is None else arguments.port
        return embedded.run(embedded.Options(data, port, arguments.slots, arguments.run))

    return attempt("up", start)


def server(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="tunebook server", description="Runs the API and the pages.")
    parser.add_argument("--host", help="default: TUNEBOOK_HOST, else 127.0.0.1")
    parser.add_argument("--port", type=_port, help="default: TUNEBOOK_PORT, else 8787")
    migrating = parser.add_mutually_exclusive_group()
    migrating.add_argument("--no-migrate", action="store_true", help="leave the database's schema as it is")
    migrating.add_argument("--migrate-only", action="store_true", help="bring the schema up to date, and end")
    parser.add_argument("--check", action="store_true", help="end with 0 if the server here answers")
    parser.add_argument("--login-code", action="store_true", help="print a login code for the owner, and end")
    parser.add_argument("--worker-token", metavar="NAME", help="print a new token for this worker, and end")
    parser.add_argument("--fd", type=int, help=argparse.SUPPRESS)  # the listening socket of `tunebook up`
    arguments = parser.parse_args(list(argv))

    def start() -> int:
        if arguments.check:
            return _check_server()
        if not arguments.no_migrate:
            _migrate()
        if arguments.migrate_only:
            return 0
        if arguments.login_code or arguments.worker_token:
            return _print_secret(arguments.worker_token)
        from tunebook_server.app import serve
        from tunebook_server.app.run import UnsafeAddress

        _end_normally()
        try:
            serve(None if arguments.fd is None else [socket.socket(fileno=arguments.fd)])
        except UnsafeAddress as error:
            return _complain("server", str(error), WRONG_USE)
        return 0

    for name, value in (("TUNEBOOK_HOST", arguments.host), ("TUNEBOOK_PORT", arguments.port)):
        if value is not None:
            os.environ[name] = str(value)
    return attempt("server", start)


def control(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="tunebook control", description="Samples ahead, takes back lost trials, compacts curves."
    )
    parser.add_argument("--check", action="store_true", help="end with 0 if the control worker here sweeps")
    arguments = parser.parse_args(list(argv))

    def start() -> int:
        if arguments.check:
            return _check_control()
        from tunebook_server.app import logs
        from tunebook_server.jobs import app
        from tunebook_server.services import health

        with _database() as engine:
            health.check(engine)
        logs.configure()
        app.run()
        return 0

    return attempt("control", start)


def _migrate() -> None:
    from tunebook_server.services import restoring
    from tunebook_server.storage.migrate import migrate

    with _database() as engine:
        migrate(engine)
        restoring.notice(engine)


def _check_server() -> int:
    from tunebook_server.embedded.answers import LOOPBACK, answers

    host = {"0.0.0.0": LOOPBACK, "::": "[::1]"}.get(settings().host, settings().host)  # noqa: S104
    if answers(f"http://{host}:{settings().port}"):
        return 0
    return _complain("server", f"port {settings().port} of {host} does not answer that all is well", FAILED)


def _check_control() -> int:
    from tunebook_server.jobs import sign

    seconds = sign.age_seconds(settings().data)
    if seconds <= sign.LONGEST_SWEEPS * settings().sweep_seconds + sign.PATIENCE_SECONDS:
        return 0
    return _complain("control", f"the last sweep began {seconds:.0f} s ago", FAILED)


def _print_secret(worker: str | None) -> int:
    from tunebook_server.services import access

    with _database() as engine:
        secret = (
            access.create_worker_token(engine, name=worker) if worker else access.issue_login_code(engine)
        )
    sys.stdout.write(f"{secret}\n")
    return 0


@contextmanager
def _database() -> Iterator["Engine"]:
    from tunebook_server.storage.engine import connect

    engine = connect(settings().database_url.get_secret_value(), pool_size=1)
    try:
        yield engine
    finally:
        engine.dispose()


def attempt(name: str, start: Callable[[], int]) -> int:
    """Runs it; what an operator can set right is said in a line, without a traceback."""
    try:
        return start()
    except ValidationError as error:
        return _complain(name, "; ".join(map(_fault, error.errors())), WRONG_USE)
    except (CannotRun, OSError) as error:
        return _complain(name, str(error), FAILED)
    except Exception as error:
        from sqlalchemy.exc import OperationalError  # half of what `--check` would load

        if not isinstance(error, OperationalError):
            raise
        return _complain(name, f"the database does not answer: {error.orig}", FAILED)


def _fault(fault: "ErrorDetails") -> str:
    variable = f"TUNEBOOK_{str(fault['loc'][0]).upper()}: " if fault["loc"] else ""
    return variable + fault["msg"].removeprefix("Value error, ")


def _complain(name: str, message: str, status: int) -> int:
    sys.stderr.write(f"tunebook {name}: {message}\n")
    return status


def _end_normally() -> None:
    """uvicorn raises the signal again that it was stopped by; by then everything is done."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text}: a number from 0 to 65535.")
    return int(text)


def _slots(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1000:
        raise argparse.ArgumentTypeError(f"{text}: a whole number from 1 to 1000.")
    return int(text)
