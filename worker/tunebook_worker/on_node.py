"""A supervisor that an engine starts on one of its nodes: `python -m tunebook_worker.on_node FOLDER`.

The order lies in the folder, which the worker and the node share. Nothing is launched before the server has
agreed: the lease is older than this process, and its clock another host's.
"""

import fcntl
import os
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tunebook.api import Api, full_jitter
from tunebook.errors import ApiError, Cancelled, Unreachable
from tunebook_worker import guardian, log
from tunebook_worker.beats import is_final
from tunebook_worker.clock import boot_seconds
from tunebook_worker.kernel import adopt_orphans, keep_private
from tunebook_worker.orders import JobFolder, Order
from tunebook_worker.supervisor import STDOUT, Status, Supervision

LOOK_SECONDS = 1.0
"""Between two looks for the worker's word: a signal is faster, but not every engine sends one."""


def main() -> int:
    os.umask(0o077)
    log.configure()
    keep_private()
    folder = JobFolder(Path(sys.argv[1]))
    guard = guardian.start(folder.job_file)
    adopt_orphans()
    _be_quiet()
    order = folder.read_order()
    if order is None:
        log.note("nothing to do: the attempt has ended", folder=folder.path.name)
        return Status.ACKNOWLEDGED
    if begin(folder, patience_seconds=float(order.claim["fence_seconds"])):
        guard.arm()  # a second start trains nothing, and the first may train still
    else:
        order = replace(order, salvage=f"{order.engine} started the job again.", preempted=True)
    order = replace(order, gpus=_gpus())
    agreed = agree(order)
    if agreed is None:
        return Status.KEPT
    supervision = Supervision(agreed, words(folder))
    try:
        status = supervision.run()
        guard.dismiss()
        return status
    except BaseException:
        log.crash("the supervisor failed", trial_id=order.trial_id)
        supervision.tree.kill()
        raise


def begin(folder: JobFolder, *, patience_seconds: float) -> bool:
    """False when an earlier start of this job was here. It may run still, on a node that the engine has
    lost sight of: then wait until its lock is free, or its own fence must have ended it."""
    try:
        mark, first = os.open(folder.begun, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), True
    except FileExistsError:
        mark, first = os.open(folder.begun, os.O_RDWR | os.O_CLOEXEC), False
    until = boot_seconds() + patience_seconds
    while True:
        try:
            fcntl.lockf(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)  # kept until this process ends
            break
        except BlockingIOError:
            if boot_seconds() >= until:
                break
            time.sleep(LOOK_SECONDS)
        except OSError as error:  # a file system without locks
            log.warn("the folder cannot be locked", detail=str(error))
            break
    if first:
        os.write(mark, f"{socket.gethostname()} {os.getpid()}\n".encode())
    return first


def agree(order: Order) -> Order | None:
    """The order with `claimed_at` by this host's clock, once the server has answered a beat; None when the
    trial is not ours any more, or the server is silent for as long as a fence would wait."""
    api = Api(order.url, str(order.claim["token"]))
    until, attempt = boot_seconds() + float(order.claim["fence_seconds"]), 0
    while boot_seconds() < until:
        sent = boot_seconds()
        try:
            api.post(f"/trials/{order.trial_id}:heartbeat", {"epoch": order.epoch})
            return replace(order, claimed_at=sent)
        except Cancelled:
            salvage = order.salvage or "The trial was cancelled before it began."
            return replace(order, claimed_at=sent, salvage=salvage, preempted=True)
        except (ApiError, Unreachable) as error:
            if isinstance(error, ApiError) and is_final(error):
                log.warn("the trial is not ours any more", trial_id=order.trial_id, detail=str(error))
                return None
            log.warn("the server has not agreed yet", trial_id=order.trial_id, detail=str(error))
        time.sleep(full_jitter(attempt, cap=5.0))
        attempt += 1
    log.warn("the server never agreed, so nothing was launched", trial_id=order.trial_id)
    return None


def words(folder: JobFolder) -> Iterator[bytes]:
    """What the worker says, as a pipe would bring it; without an end, for the worker may be away for long."""
    heard = b""
    while True:
        word = folder.read_word()
        if word != heard:
            heard = word
            yield word
        time.sleep(LOOK_SECONDS)


def _gpus() -> list[str] | None:
    """The engine's share for this job."""
    devices = os.environ.get("CUDA_VISIBLE_DEVICES")
    return None if devices is None else [name.strip() for name in devices.split(",") if name.strip()]


def _be_quiet() -> None:
    """What a supervisor says to the worker beside it has no reader here."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, STDOUT)
    os.close(nowhere)


if __name__ == "__main__":
    sys.exit(main())
