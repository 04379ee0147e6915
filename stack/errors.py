"""Why the stack cannot run here; each message says what to do."""

from tunebook_server.embedded.errors import CannotRun


class StackFailed(CannotRun):
    """A program is missing, or a service did not start."""


class NoNamespaces(CannotRun):
    """Network namespaces need root and iproute2."""
