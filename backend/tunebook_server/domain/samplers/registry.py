"""Samplers by the name that a study gives."""

from collections.abc import Callable, Mapping

from tunebook_server.domain.document import Document, close_to, refuse, show
from tunebook_server.domain.errors import Fault, Invalid
from tunebook_server.domain.samplers.bayesian import Bayesian
from tunebook_server.domain.samplers.cma_es import CmaEs
from tunebook_server.domain.samplers.grid import Grid
from tunebook_server.domain.samplers.halton import Halton
from tunebook_server.domain.samplers.manual import Manual
from tunebook_server.domain.samplers.random import Random
from tunebook_server.domain.samplers.sampler import Sampler
from tunebook_server.domain.samplers.sobol import Sobol
from tunebook_server.domain.samplers.tpe import Tpe

SAMPLERS: Mapping[str, Callable[[Document], Sampler]] = {
    "halton": Halton.parse,
    "sobol": Sobol.parse,
    "random": Random.parse,
    "grid": Grid.parse,
    "manual": Manual.parse,
    "bayesian": Bayesian.parse,
    "tpe": Tpe.parse,
    "cma_es": CmaEs.parse,
}


def sampler(name: object, options: object) -> Sampler:
    """Raises Invalid with fields like "sampler.name" and "sampler.options.configurations"."""
    parse = SAMPLERS.get(name) if isinstance(name, str) else None
    if parse is None:
        near = close_to(name, tuple(SAMPLERS)) if isinstance(name, str) else ""
        remedy = f"{near}Use {', '.join(SAMPLERS)}."
        raise Invalid(f"there is no sampler {show(name)}", field="sampler.name", remedy=remedy)
    faults: list[Fault] = []
    document = Document(options, field="sampler.options", faults=faults)
    refuse(faults)
    made = parse(document)
    refuse(faults)
    return made
