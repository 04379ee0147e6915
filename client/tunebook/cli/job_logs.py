"""`tunebook trial log`: the end of what a job printed, and with `--follow` what it prints from now on."""

import argparse
import sys
import time
from collections.abc import Mapping
from typing import Any

from tunebook.api import Api
from tunebook.cli.study import connect
from tunebook.cli.terminal import clean

POLL_SECONDS = 1.0
TAIL_BYTES = 1 << 18
HELD = ("claimed", "running")


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--lines", type=int, default=100, metavar="N", help="so many (%(default)s)")
    parser.add_argument("--attempt", type=int, metavar="N", help="else the newest that printed anything")
    parser.add_argument("--follow", action="store_true", help="go on until the attempt has ended")


def run(options: argparse.Namespace) -> int:
    api = connect(options)
    trial = api.get(f"/trials/{options.trial}")
    epoch = options.attempt
    if options.follow and epoch is None and trial["state"] in HELD:
        epoch = trial["epoch"]
    piece = _piece(api, options.trial, epoch)
    lines = piece["content"].removesuffix("\n").split("\n")[-max(options.lines, 1) :]
    if options.follow:
        _write("\n".join(lines) + "\n" * piece["content"].endswith("\n"))
        _follow(api, options.trial, piece)
    elif piece["size_bytes"]:
        _write("\n".join(lines) + "\n")
    else:
        print("It has printed nothing.", file=sys.stderr)
    return 0


def _follow(api: Api, trial_id: int, piece: Mapping[str, Any]) -> None:
    epoch = piece["epoch"]
    while True:
        trial = api.get(f"/trials/{trial_id}")  # before the log: what came before its end is in it
        piece = _piece(api, trial_id, epoch, after=piece["next_byte"])
        _write(piece["content"])
        if not piece["at_end"]:
            continue
        if trial["state"] not in HELD or trial["epoch"] != epoch:
            return
        time.sleep(POLL_SECONDS)


def _piece(api: Api, trial_id: int, epoch: int | None, *, after: int | None = None) -> Mapping[str, Any]:
    wanted = {"plain": "true", "epoch": epoch or None, "after": after, "limit_bytes": TAIL_BYTES}
    found: Mapping[str, Any] = api.get(f"/trials/{trial_id}/log", params=wanted)
    return found


def _write(text: str) -> None:
    sys.stdout.write("\n".join(clean(line.expandtabs()) for line in text.split("\n")))
    sys.stdout.flush()
