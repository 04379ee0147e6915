"""Removes checkpoints that are not kept: the server says which, this worker can reach them."""

import threading
from collections.abc import Callable

from tunebook.api import Api
from tunebook.errors import ApiError, Unreachable
from tunebook_worker import stores
from tunebook_worker.log import note, warn
from tunebook_worker.options import Options
from tunebook_worker.stores import StoreAway, Unusable


class Removals(threading.Thread):
    """Asks once a beat. A removal is said after it is done; one that was cut off in between is done again."""

    def __init__(self, options: Options, api: Api, *, worker_id: Callable[[], int]) -> None:
        super().__init__(name="removals", daemon=True)
        self._options, self._api, self._worker_id = options, api, worker_id
        self._ended = threading.Event()

    def end(self) -> None:
        self._ended.set()

    def run(self) -> None:
        while not self._ended.wait(self._options.beat_seconds):
            try:
                while self._some():
                    pass
            except (ApiError, Unreachable) as error:
                warn("the server does not say which checkpoints to remove", detail=str(error))

    def _some(self) -> bool:
        """True when there may be more at once."""
        worker = f"/workers/{self._worker_id()}"
        roots = [{"uri": root, "shared": shared} for root, shared in self._options.checkpoint_roots]
        due = self._api.post(f"{worker}:removals", {"roots": roots})["items"]
        done = {int(each["id"]): self._remove(each) for each in due}
        gone = [checkpoint_id for checkpoint_id, is_gone in done.items() if is_gone]
        failed = [checkpoint_id for checkpoint_id, is_gone in done.items() if not is_gone]
        if done:
            self._api.post(f"{worker}:removed", {"removed": gone, "failed": failed})
        return len(gone) > 0

    def _remove(self, due: dict[str, object]) -> bool:
        uri = str(due["uri"])
        place = {"trial_id": int(str(due["trial_id"])), "epoch": int(str(due["epoch"]))}
        for root, _ in self._options.checkpoint_roots:
            if not uri.startswith(root.rstrip("/") + "/"):
                continue
            try:
                stores.remove(uri, root=root, **place)
            except (StoreAway, Unusable, OSError) as error:
                warn("a checkpoint cannot be removed", uri=uri, detail=str(error), **place)
                return False
            note("a checkpoint is removed", uri=uri, **place)
            return True
        return False
