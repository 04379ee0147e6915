"""A site with one of everything, as the API's tests have it."""

from tests.api.conftest import site, world

__all__ = ["site", "world"]
