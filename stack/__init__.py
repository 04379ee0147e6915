"""A team's installation on one machine without containers: the services of docker-compose.yml."""

from stack.network import Way
from stack.stack import Stack

__all__ = ["Stack", "Way"]
