"""`make stack`: a team's installation on this machine until Ctrl-C."""

import argparse
import os
import signal
import sys
import time
from pathlib import Path

from stack.network import Network
from stack.stack import Stack
from tunebook_server.embedded.errors import CannotRun
from tunebook_server.embedded.wakeups import Wakeups

LOOK_SECONDS = 1.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m stack", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(".stack"), help="the folder of everything")
    parser.add_argument("--port", type=int, default=8787, help="of the proxy; default: 8787")
    parser.add_argument("--hosts", type=int, default=2, help="worker hosts; default: 2")
    parser.add_argument("--namespaces", action="store_true", help="each worker host on a network of its own")
    arguments = parser.parse_args()
    os.umask(0o077)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # until there is something to end in order
    try:
        stack = Stack(
            arguments.data,
            hosts=arguments.hosts,
            namespaces=arguments.namespaces,
            port=arguments.port,
            environment={name: value for name, value in os.environ.items() if name.endswith("_SECONDS")},
            say=say,
        )
        return run(stack)
    except CannotRun as error:
        sys.stderr.write(f"stack: {error}\n")
        return 1


def run(stack: Stack) -> int:
    began = time.monotonic()
    with stack.start():
        wakeups = Wakeups()
        say(f"Started in {time.monotonic() - began:.1f} s: {', '.join(stack.services)}")
        say(f"Dashboard   {stack.url}")
        say(f"Login code  {stack.login_code()}  (good once, for 15 minutes)")
        say(f"Logs        {stack.folder.path / 'logs'}")
        say(f"A study     TUNEBOOK_DATA={stack.folder.path} tunebook study run STUDY.toml --wait")
        if isinstance(stack.network, Network):
            say(f"Hosts       {', '.join(stack.hosts)}, who see this machine as {stack.network.gateway}")
        say("Ctrl-C stops everything.")
        while not wakeups.stopping:
            wakeups.wait(LOOK_SECONDS)
        say("Stopping.")
        began = time.monotonic()
    say(f"Stopped after {time.monotonic() - began:.1f} s.")
    return 0


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
