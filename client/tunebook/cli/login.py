"""`tunebook login`: a one-time code becomes a token on this machine."""

import argparse
import socket
import sys
from typing import Any

from tunebook.api import Api
from tunebook.cli.terminal import clean
from tunebook.credentials import Credentials, store

DEFAULT_URL = "http://127.0.0.1:8787"
TOKEN_DAYS = 90
SCOPES = ["study:read", "study:write", "trial:report", "run:launch", "template:admin"]
"""All that the SDK and this command need: a stolen file cannot make more tokens."""


def add_to(commands: Any) -> None:
    parser = commands.add_parser("login", help="log in with a one-time code", description=__doc__)
    parser.add_argument(
        "code", nargs="?", help="the code that `tunebook up` printed (asked for when left out)"
    )
    parser.add_argument("--url", default=DEFAULT_URL, help="address of the server (%(default)s)")
    parser.set_defaults(run=login)


def login(options: argparse.Namespace) -> int:
    """The token is made with the session's cookie, so it has to look like the server's own page (Origin)."""
    url = options.url.rstrip("/")
    api = Api(url)
    code = options.code or input("One-time code: ")
    same_origin = {"Origin": url}
    api.post("/login", {"code": code.strip()}, headers=same_origin)
    name = f"tunebook login on {socket.gethostname()}"
    wanted = {"name": name, "scopes": SCOPES, "expires_in_days": TOKEN_DAYS}
    token = api.post("/tokens", wanted, headers=same_origin)["token"]
    api.close()
    who = Api(url, token).get("/me")
    path = store(Credentials(url, token))
    print(f"Logged in to {clean(url)} as {clean(who['name'])} for {TOKEN_DAYS} days.")
    print(f"The token is in {clean(path)}.", file=sys.stderr)
    return 0
