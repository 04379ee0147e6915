"""A network for worker hosts: each in a namespace of its own, on one bridge, and one that can be cut off.

Names carry the process that made them, so that what a killed one left is found and removed by the next.
"""

import fcntl
import itertools
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

from stack import programs
from stack.errors import NoNamespaces

PREFIX = "tbk"
NETWORKS = [f"10.87.{number}" for number in range(1, 255)]
_serial = itertools.count()


class Way(StrEnum):
    """How a host is cut off."""

    LINK = "link"
    """The cable is out."""
    OUT = "out"
    """What it sends vanishes: half-open, for it still hears."""
    IN = "in"
    """What is sent to it vanishes: half-open, for it still speaks."""


class Network:
    """Raises NoNamespaces where it cannot be."""

    def __init__(self, hosts: Sequence[str]) -> None:
        if os.geteuid() != 0:
            raise NoNamespaces("Worker hosts in network namespaces need root; start the stack without them.")
        owner, serial = f"{PREFIX}{os.getpid()}", next(_serial)
        self.bridge = f"{owner}b{serial}"
        self._cables = {host: f"{owner}v{serial}.{number}" for number, host in enumerate(hosts)}
        self._spaces = {host: f"{owner}n{serial}.{number}" for number, host in enumerate(hosts)}
        self.gateway = ""
        """This machine, as the hosts see it."""

    def open(self) -> None:
        with _alone():
            remove_leftovers()
            network = _free_network()
            self.gateway = f"{network}.1"
            _ip("link", "add", self.bridge, "type", "bridge")
            _ip("address", "add", f"{self.gateway}/24", "dev", self.bridge)
        _ip("link", "set", self.bridge, "up")
        for number, host in enumerate(self._spaces, start=2):
            self._add(host, f"{network}.{number}/24")

    def close(self) -> None:
        """What is there is removed, whatever is not there."""
        for host, space in self._spaces.items():
            _ip("link", "del", self._cables[host], check=False)
            _ip("netns", "del", space, check=False)
        _ip("link", "del", self.bridge, check=False)

    def prefix(self, host: str) -> list[str]:
        """Of a command that runs on this host."""
        return [programs.find("ip"), "netns", "exec", self._spaces[host]]

    def cut(self, host: str, way: Way = Way.LINK) -> None:
        if way is Way.LINK:
            _ip("link", "set", self._cables[host], "down")
            return
        hook, side = ("output", "oifname") if way is Way.OUT else ("input", "iifname")
        rules = (
            f'table inet cut {{ chain words {{ type filter hook {hook} priority 0; {side} "eth0" drop; }}; }}'
        )
        _run([*self.prefix(host), programs.find("nft"), rules])

    def join(self, host: str) -> None:
        """Undoes every cut."""
        _ip("link", "set", self._cables[host], "up")
        _run([*self.prefix(host), "sh", "-c", "nft delete table inet cut 2>/dev/null || true"])

    def _add(self, host: str, address: str) -> None:
        space, cable = self._spaces[host], self._cables[host]
        _ip("netns", "add", space)
        _ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", space)
        _ip("link", "set", cable, "master", self.bridge)
        _ip("link", "set", cable, "up")
        _ip("-n", space, "address", "add", address, "dev", "eth0")
        for device in ("lo", "eth0"):
            _ip("-n", space, "link", "set", device, "up")


def remove_leftovers() -> None:
    """Of processes that are no more."""
    for kind, listing in (("netns", _ip("netns", "list")), ("link", _ip("-o", "link", "show"))):
        for name, owner in re.findall(rf"\b({PREFIX}(\d+)[bvn][\d.]+)", listing):
            if not Path(f"/proc/{owner}").exists():
                _ip(kind, "del", name, check=False)


def _free_network() -> str:
    taken = _ip("-o", "-4", "address", "show")
    free = next((network for network in NETWORKS if f" {network}." not in taken), None)
    if free is None:
        raise NoNamespaces("Every network from 10.87.1.0/24 to 10.87.254.0/24 is in use here.")
    return free


@contextmanager
def _alone() -> Iterator[None]:
    """Two stacks that start at once must not choose one network."""
    with (Path(tempfile.gettempdir()) / "tunebook-stack.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _ip(*arguments: str, check: bool = True) -> str:
    return _run([programs.find("ip"), *arguments], check=check)


def _run(argv: Sequence[str], *, check: bool = True) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        raise NoNamespaces(f"{' '.join(argv)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout
