"""The programs that the services' commands name, as they are on this machine."""

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from stack.errors import StackFailed

PACKAGES = {
    "haproxy": "haproxy",
    "redis-server": "redis-server",
    "redis-cli": "redis-tools",
    "ip": "iproute2",
    "nft": "nftables",
}
"""By program, the Debian package that brings it."""
SYSTEM_FOLDERS = "/usr/local/sbin:/usr/sbin:/sbin"
"""Not on everybody's PATH."""


def find(program: str) -> str:
    """Raises StackFailed, naming the package."""
    if program == "tunebook":
        return str(Path(sys.executable).with_name("tunebook"))  # of this very environment
    found = shutil.which(program, path=search_path())
    if found is None:
        raise StackFailed(f"{program} is not installed: apt-get install {PACKAGES.get(program, program)}")
    return found


def missing() -> list[str]:
    """Those of the stack that are not here."""
    return [
        name
        for name in ("haproxy", "redis-server", "redis-cli")
        if not shutil.which(name, path=search_path())
    ]


def search_path() -> str:
    return f"{os.environ.get('PATH', os.defpath)}:{SYSTEM_FOLDERS}"


def surroundings(*given: Mapping[str, str]) -> dict[str, str]:
    """What a service is started with: this machine's variables but ours, the PATH, and what is given."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("TUNEBOOK_")}
    merged = {**own, "PATH": search_path()}
    for more in given:
        merged.update(more)
    return merged


def resolved(command: Sequence[str]) -> list[str]:
    return [find(command[0]), *command[1:]]
