"""The server: the API and the pages behind one gate."""

from tunebook_server.app.factory import create_app
from tunebook_server.app.run import serve

__all__ = ["create_app", "serve"]
