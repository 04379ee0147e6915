"""What proposes configurations. A sampler has no memory: what it says depends on its arguments alone."""

from tunebook_server.domain.samplers.registry import SAMPLERS, sampler
from tunebook_server.domain.samplers.sampler import Sampler

__all__ = ["SAMPLERS", "Sampler", "sampler"]
