"""What the Plots page opens with."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.scale import DOCUMENT
from tunebook_server.domain.search_space import SearchSpace
from tunebook_server.pages.catalogue import CATALOGUE, chosen

RATE = {"name": "rate", "type": "float", "low": 1e-4, "high": 1.0, "scale": "log"}
CHOICE = {"name": "optimizer", "type": "categorical", "choices": ["adam", "sgd"]}
SPACES: dict[str, Any] = {
    "one learning rate an optimizer": DOCUMENT["space"],
    "apart alone": [CHOICE, *({**RATE, "when": {"optimizer": [each]}} for each in ("adam", "sgd"))],
    "one": [RATE],
}


@pytest.mark.parametrize(
    ("space", "pair"),
    [
        (
            "one learning rate an optimizer",
            ("optimizer=nesterov/learning_rate", "optimizer=nesterov/momentum"),
        ),
        ("apart alone", ("optimizer=adam/rate", "optimizer=sgd/rate")),
        ("one", ("rate", "rate")),
    ],
)
def test_a_contour_opens_with_two_that_trials_have_together(space: str, pair: tuple[str, str]) -> None:
    study = cast(Any, SimpleNamespace(space=SearchSpace.parse(SPACES[space])))
    (contour,) = [entry for entry in CATALOGUE if entry.kind == "contour"]
    assert tuple(chosen(contour, study, {}).values()) == pair
