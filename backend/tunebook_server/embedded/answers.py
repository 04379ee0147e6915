"""Whether a server answers; loads nothing heavy, because it is asked every few seconds."""

import http.client

LOOPBACK = "127.0.0.1"


def answers(address: str) -> bool:
    """`http://HOST:PORT` says that all is well."""
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=2)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
