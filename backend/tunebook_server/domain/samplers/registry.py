"""Samplers by the name that a study gives."""

from collections.abc import Mapping

from tunebook_server.domain.by_name import by_name
from tunebook_server.domain.samplers.bayesian import Bayesian
from tunebook_server.domain.samplers.cma_es import CmaEs
from tunebook_server.domain.samplers.grid import Grid
from tunebook_server.domain.samplers.halton import Halton
from tunebook_server.domain.samplers.manual import Manual
from tunebook_server.domain.samplers.random import Random
from tunebook_server.domain.samplers.sampler import Sampler
from tunebook_server.domain.samplers.sobol import Sobol
from tunebook_server.domain.samplers.tpe import Tpe

SAMPLERS: Mapping[str, type[Sampler]] = {
    "halton": Halton,
    "sobol": Sobol,
    "random": Random,
    "grid": Grid,
    "manual": Manual,
    "bayesian": Bayesian,
    "tpe": Tpe,
    "cma_es": CmaEs,
}


def sampler(name: object, options: object) -> Sampler:
    """Raises Invalid with fields like "sampler.name" and "sampler.options.configurations"."""
    return by_name("sampler", SAMPLERS, name, options)
