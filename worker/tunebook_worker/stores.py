"""Where checkpoints are kept: a folder of this host, a shared one, or anything that fsspec knows (s3://…).

What comes back is compared with what went in: by its content for a store, which reads every byte anyway; by
names, sizes and times for a folder, where reading gigabytes again would say little more.
"""

import hashlib
import os
import re
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

BLOCK_BYTES = 8 << 20
TRIES = 3
"""To copy a checkpoint that changes meanwhile."""
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")
NAME_LONGEST = 100


class StoreAway(Exception):
    """The store does not answer, or not as it should: the same may work later."""


class Unusable(Exception):
    """This store, or this checkpoint, cannot be worked with from here; the message says why."""


class Missing(Exception):
    """Nothing is there under this address."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """`content_hash`: "sha256:…" of a file, "sha256-tree:…" of a folder, "stat:…" where it was not read."""

    size_bytes: int
    content_hash: str


def is_remote(uri: str) -> bool:
    return "://" in uri and not uri.startswith("file://")


def key(root: str, *, trial_id: int, epoch: int, step: int, path: Path) -> str:
    """Where a checkpoint goes: every attempt has a folder of its own, and every step a name of its own."""
    name = _UNSAFE.sub("_", path.name)[-NAME_LONGEST:] or "checkpoint"
    return f"{root.rstrip('/')}/{trial_id}/{epoch}/{step}-{name}"


def name_of(uri: str) -> str:
    """The name that the job gave it."""
    last = uri.rstrip("/").rpartition("/")[2]
    return last.partition("-")[2] or last


def stamp(path: Path) -> Stamp:
    """Of a file or folder, without reading it. Raises Missing, or Unusable for what is neither."""
    size_bytes, digest = 0, hashlib.sha256()
    for name, file in _files(path):
        found = _stat(file)
        size_bytes += found.st_size
        digest.update(f"{name}\0{found.st_size}\0{found.st_mtime_ns}\n".encode(errors="surrogateescape"))
    return Stamp(size_bytes, f"stat:{digest.hexdigest()}")


def upload(path: Path, uri: str) -> Stamp:
    """Copies a file or folder into a store. Raises StoreAway, Missing or Unusable."""
    filesystem, target = _filesystem(uri)
    for _ in range(TRIES):
        before = stamp(path)
        copied = _Tree(path.is_dir())
        for name, file in _files(path):
            goal = f"{target}/{name}" if name else target
            with file.open("rb") as source, _away(uri):
                if "s3" not in filesystem.protocol:  # which has no folders to make
                    filesystem.makedirs(filesystem._parent(goal), exist_ok=True)
                with filesystem.open(goal, "wb", block_size=BLOCK_BYTES) as sink:
                    copied.add(name, *_copy(source, sink))
        if stamp(path) == before:
            if not copied.files:
                raise Unusable(f"{path} is an empty folder")
            return copied.stamp()
    raise Unusable(f"{path} changes while it is copied: write it under another name, then rename it")


def download(uri: str, path: Path) -> Stamp:
    """Copies a file or folder out of a store. Raises StoreAway, Missing or Unusable."""
    filesystem, source = _filesystem(uri)
    with _away(uri):
        filesystem.invalidate_cache()
        is_folder = not filesystem.isfile(source)
        found = sorted(filesystem.find(source)) if is_folder else [source]
    if not found:
        raise Missing(f"there is nothing at {uri}")
    copied = _Tree(is_folder)
    for each in found:
        name = each[len(source) :].strip("/") if is_folder else ""
        if ".." in name.split("/"):
            raise Unusable(f"{uri} holds {name!r}, which leads out of it")
        goal = path / name if is_folder else path
        goal.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (
            goal.open("wb") as sink,
            _away(uri),
            filesystem.open(each, "rb", block_size=BLOCK_BYTES) as content,
        ):
            copied.add(name, *_copy(content, sink))
    return copied.stamp()


def remove(uri: str, *, root: str, trial_id: int, epoch: int) -> None:
    """Removes what lies at `uri`; done before, it does nothing. Raises StoreAway, or Unusable for an address
    that is not inside the attempt's own folder below `root`."""
    inside = f"{root.rstrip('/')}/{trial_id}/{epoch}/"
    rest = uri.removeprefix(inside)
    if rest == uri or not rest.strip("/") or not {"", ".", ".."}.isdisjoint(rest.rstrip("/").split("/")):
        raise Unusable(f"{uri} does not lie in {inside}")
    if not is_remote(uri):
        _remove_local(Path(uri), Path(inside))
        return
    if any(letter in uri for letter in "*?["):
        raise Unusable(f"{uri} could mean more than one checkpoint")
    filesystem, target = _filesystem(uri)
    with _away(uri):
        filesystem.invalidate_cache()
        try:
            filesystem.rm(target, recursive=True)
        except FileNotFoundError:
            return


def check(root: str) -> None:
    """Raises Unusable when nothing here knows this kind of store."""
    _filesystem_class(root)


def remove_local(path: Path) -> None:
    """A file, a link or a folder; what a link leads to stays."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


class _Tree:
    """The stamp of what is copied, file by file, in the order of names."""

    def __init__(self, is_folder: bool) -> None:
        self._is_folder = is_folder
        self.files: list[tuple[str, int, str]] = []

    def add(self, name: str, size_bytes: int, digest: str) -> None:
        self.files.append((name, size_bytes, digest))

    def stamp(self) -> Stamp:
        size_bytes = sum(size for _, size, _ in self.files)
        if not self._is_folder:
            return Stamp(size_bytes, f"sha256:{self.files[0][2]}")
        whole = hashlib.sha256()
        for name, size, digest in sorted(self.files):
            whole.update(f"{name}\0{size}\0{digest}\n".encode(errors="surrogateescape"))
        return Stamp(size_bytes, f"sha256-tree:{whole.hexdigest()}")


def _copy(source: IO[bytes], sink: IO[bytes]) -> tuple[int, str]:
    size_bytes, digest = 0, hashlib.sha256()
    while block := source.read(BLOCK_BYTES):
        digest.update(block)
        sink.write(block)
        size_bytes += len(block)
    return size_bytes, digest.hexdigest()


def _files(path: Path) -> Iterator[tuple[str, Path]]:
    """Every file with its name below `path`, in the order of names; a file alone has none."""
    if not path.is_dir():
        yield "", path
        return
    for folder, folders, names in os.walk(path):
        folders.sort()
        for name in folders:
            if (Path(folder) / name).is_symlink():
                raise Unusable(f"{Path(folder) / name} is a link to a folder, which is not followed")
        for name in sorted(names):
            file = Path(folder) / name
            yield str(file.relative_to(path)), file


def _stat(file: Path) -> os.stat_result:
    try:
        found = file.stat()
    except FileNotFoundError:
        raise Missing(f"{file} does not exist") from None
    if not stat.S_ISREG(found.st_mode):
        raise Unusable(f"{file} is no regular file")
    return found


def _remove_local(path: Path, inside: Path) -> None:
    # A link on the way could lead anywhere.
    if not path.parent.resolve().is_relative_to(inside.resolve()):
        raise Unusable(f"{path} leads out of {inside}")
    try:
        remove_local(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreAway(f"{path}: {error}") from error


class _away:  # noqa: N801  a context manager, used as a function
    """Whatever a store raises, but for what is missing, may be over later."""

    def __init__(self, uri: str) -> None:
        self._uri = uri

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if error is None or not isinstance(error, Exception):
            return
        if isinstance(error, Missing | Unusable | StoreAway):
            return
        if isinstance(error, FileNotFoundError):
            raise Missing(f"there is nothing at {self._uri}") from error
        raise StoreAway(f"{self._uri}: {error or type(error).__name__}") from error


def _filesystem(uri: str) -> tuple[Any, str]:
    kind = _filesystem_class(uri)
    try:
        import fsspec

        filesystem, path = fsspec.core.url_to_fs(uri)
    except Exception as error:
        raise StoreAway(f"{uri}: {error or kind.__name__}") from error
    return filesystem, str(path)


def _filesystem_class(uri: str) -> Any:
    import fsspec

    protocol = uri.partition("://")[0]
    try:
        return fsspec.get_filesystem_class(protocol)
    except ImportError as error:
        extra = ": pip install 'tunebook[s3]'" if protocol in ("s3", "s3a") else ""
        raise Unusable(f"{protocol}:// needs a package that is not installed here{extra} ({error})") from None
    except ValueError as error:
        raise Unusable(f"{protocol}:// is no kind of store that fsspec knows ({error})") from None
