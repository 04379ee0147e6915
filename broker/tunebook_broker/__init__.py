"""Celery's broker on the Postgres that is there anyway: import this, then use `tunebook+postgres://…`.

A package of its own because both sides of the queue need it, and the worker never imports the server.
"""

from kombu.transport import TRANSPORT_ALIASES

__all__ = ["SCHEME", "broker_url"]

SCHEME = "tunebook+postgres"
# kombu splits the scheme at "+": the first half names the transport, the rest is left to it as its address.
TRANSPORT_ALIASES["tunebook"] = "tunebook_broker.transport:Transport"


def broker_url(database_url: str) -> str:
    """The broker on the database `postgresql://…`."""
    return f"{SCHEME}://" + database_url.split("://", 1)[1]
