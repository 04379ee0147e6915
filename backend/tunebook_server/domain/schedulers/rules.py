"""What is said wherever a scheduler is chosen."""

from tunebook_server.domain.errors import Fault


def prefer_fixed_budget(name: str) -> tuple[Fault, ...]:
    """Deep Learning Tuning Playbook, "Choosing the number of steps": trials of one length can be compared."""
    return (
        Fault(
            "scheduler.name",
            f"{name} ends trials early: what they would have come to is never known, slow starters lose, "
            "and the findings see fewer whole curves",
            "To learn from a study, train every trial for the same number of steps and pick the best "
            "checkpoint afterwards; end trials early where only the best result counts.",
        ),
    )
