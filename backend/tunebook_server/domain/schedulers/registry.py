"""Schedulers by the name that a study gives."""

from collections.abc import Mapping

from tunebook_server.domain.by_name import by_name
from tunebook_server.domain.schedulers.hyperband import Bohb, Hyperband
from tunebook_server.domain.schedulers.median import Median
from tunebook_server.domain.schedulers.never import Never
from tunebook_server.domain.schedulers.population import Population
from tunebook_server.domain.schedulers.scheduler import Scheduler
from tunebook_server.domain.schedulers.successive_halving import SuccessiveHalving

NONE, BOHB = Never.name, Bohb.name

SCHEDULERS: Mapping[str, type[Scheduler]] = {
    kind.name: kind for kind in (Never, SuccessiveHalving, Hyperband, Bohb, Median, Population)
}


def scheduler(name: object, options: object) -> Scheduler:
    """Raises Invalid with fields like "scheduler.name" and "scheduler.options.min_steps"."""
    return by_name("scheduler", SCHEDULERS, name, options)
