"""Commands that need more than the base install: found by name, never imported by the SDK."""

import re
import sys
from collections.abc import Iterator, Sequence
from importlib import metadata

COMMANDS = {
    "up": ("run all of Tunebook on this machine", "server"),
    "server": ("run the server alone", "server"),
    "control": ("run the control worker alone", "server"),
    "backup": ("write the database to a file", "server"),
    "restore": ("restore a backup", "server"),
    "worker": ("run a worker on a training host", "worker"),
}
"""Each with its purpose and the extra that brings it."""


def run(name: str, arguments: Sequence[str]) -> int:
    extra = COMMANDS[name][1]
    missing = sorted(_missing(extra))
    found = metadata.entry_points(group="tunebook.commands", name=name)
    if missing or not found:
        print(
            f"tunebook: `tunebook {name}` needs the {extra} extra: pip install 'tunebook[{extra}]'",
            file=sys.stderr,
        )
        if missing:
            print(f"  missing: {', '.join(missing)}", file=sys.stderr)
        return 1
    (entry,) = found
    status: int | None = entry.load()(list(arguments))
    return status or 0


def _missing(extra: str) -> Iterator[str]:
    """Distributions of an extra that are not installed."""
    for requirement in metadata.requires("tunebook") or ():
        match = re.fullmatch(
            r"([A-Za-z0-9._-]+)(?:\[([^\]]+)\])?[^;]*;\s*extra == ['\"](.+)['\"]", requirement
        )
        if match is None or match[3] != extra:
            continue
        if match[1] == "tunebook":
            for nested in match[2].split(","):
                yield from _missing(nested)
        elif not _is_installed(match[1]):
            yield match[1]


def _is_installed(distribution: str) -> bool:
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True
