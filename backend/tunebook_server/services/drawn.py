"""The figures drawn last, per process: several people look at one study, and one person comes back to it."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from weakref import WeakKeyDictionary

from tunebook_server.storage.engine import Engine

CHARACTERS_KEPT = 16_000_000

_kept: WeakKeyDictionary[Engine, OrderedDict[str, str]] = WeakKeyDictionary()
_lock = threading.Lock()


def once(engine: Engine, name: str, draw: Callable[[], str]) -> str:
    """What `draw` gives; `name` must say everything that it depends on, the version of the data included."""
    with _lock:
        figures = _kept.setdefault(engine, OrderedDict())
        found = figures.get(name)
        if found is not None:
            figures.move_to_end(name)
            return found
    drawn = draw()
    with _lock:
        figures[name] = drawn
        size = sum(map(len, figures.values()))
        while size > CHARACTERS_KEPT and figures:
            size -= len(figures.popitem(last=False)[1])
    return drawn
