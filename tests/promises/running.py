"""What the checks of a promise need of a Tunebook that runs, whatever started it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from tunebook.api import Api


class Running(Protocol):
    @property
    def url(self) -> str: ...
    @property
    def api(self) -> Api:
        """As the owner."""

    @property
    def token(self) -> str: ...
    @property
    def database_url(self) -> str: ...
    @property
    def data(self) -> Path: ...
    @property
    def environment(self) -> Mapping[str, str]: ...


class Worker(Protocol):
    @property
    def pid(self) -> int: ...
    @property
    def name(self) -> str: ...
