"""`auto`: the sampler that the Deep Learning Tuning Playbook would take."""

from tunebook_server.domain.errors import Fault
from tunebook_server.domain.search_space import SearchSpace

AUTO = "auto"
EXPLORING, EXPLOITING = "halton", "bayesian"


def chosen(space: SearchSpace) -> str:
    """Quasi-random while a study asks a question (it has a scientific hyperparameter): its trials cover every
    value evenly and answer other questions later, too. Bayesian where only the best result counts."""
    return EXPLORING if _asked(space) else EXPLOITING


def explained(space: SearchSpace) -> Fault:
    """Which one, and why."""
    asked = _asked(space)
    if asked:
        names = ", ".join(asked[:3]) + (" and more" if len(asked) > 3 else "")
        return Fault(
            "sampler.name",
            f"auto took {EXPLORING}: the study asks about {names}, and quasi-random trials are fair",
            f"Name {EXPLOITING} to look for the best result alone.",
        )
    return Fault(
        "sampler.name",
        f"auto took {EXPLOITING}: nothing is scientific, so only the best result counts",
        f"Name {EXPLORING} to explore first: with twice the trials it is about as good.",
    )


def _asked(space: SearchSpace) -> list[str]:
    return [each.name for each in space.varied if each.role == "scientific"]
