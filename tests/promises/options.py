"""What pytest understands besides: `--soak`, `--seed` and `--figures`."""

from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("promises")
    group.addoption("--soak", action="store_true", help="promises at their nightly sizes (make soak)")
    group.addoption("--seed", type=int, help="repeat the random choices of a run that printed this seed")
    group.addoption(
        "--figures", type=Path, metavar="FILE", help="append what promises measure, as JSON lines"
    )


def choose(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out what is marked `soak`, but at full size."""
    if config.getoption("--soak"):
        return
    left_out = [item for item in items if item.get_closest_marker("soak")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
