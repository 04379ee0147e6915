"""What a fork inherits and must not share – names, connections, locks – is made anew in the child."""

import os
import weakref
from typing import Protocol


class Inherited(Protocol):
    def renew(self) -> None:
        """Called in the child alone, before anything else of ours runs there."""


_living: "weakref.WeakSet[Inherited]" = weakref.WeakSet()


def watch(each: Inherited) -> None:
    _living.add(each)


def _renew() -> None:
    for each in list(_living):
        each.renew()


os.register_at_fork(after_in_child=_renew)
