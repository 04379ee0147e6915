import numpy as np
import pytest

from tunebook_server.domain.surface import CELLS, Side, interpolate


def test_a_smooth_objective_is_recovered_up_to_its_edges() -> None:
    random = np.random.default_rng(0)
    x, y = random.random(5_000), random.random(5_000)
    surface = interpolate(Side(x), Side(y), (x - 0.3) ** 2 + y + 0.1 * random.standard_normal(5_000))
    at = (np.arange(CELLS) + 0.5) / CELLS
    truth = (at[None, :] - 0.3) ** 2 + at[:, None]
    assert surface.shape == (CELLS, CELLS)
    assert np.abs(surface - truth).max() < 0.15
    assert np.unravel_index(surface.argmin(), surface.shape)[0] <= 2
    assert abs(at[np.unravel_index(surface.argmin(), surface.shape)[1]] - 0.3) < 0.12


def test_values_stay_within_those_of_the_trials() -> None:
    random = np.random.default_rng(1)
    values = random.random(30) + 1e6
    surface = interpolate(Side(random.random(30)), Side(random.random(30)), values)
    seen = surface[np.isfinite(surface)]
    assert values.min() - 1e-6 <= seen.min() <= seen.max() <= values.max() + 1e-6


def test_far_from_every_trial_there_is_no_colour() -> None:
    near = np.full(50, 0.1)
    surface = interpolate(Side(near), Side(near), np.ones(50))
    assert surface[4, 4] == pytest.approx(1.0)
    assert np.isnan(surface[-1, -1])
    assert np.isnan(interpolate(Side(near), Side(near), np.full(50, np.nan))).all()


def test_choices_are_not_smoothed_into_each_other() -> None:
    choice = np.repeat([0, 1], 50)
    surface = interpolate(Side((choice + 0.5) / 2, 2), Side(np.tile(np.linspace(0, 1, 50), 2)), choice * 9.0)
    assert surface.shape == (CELLS, 2)
    assert surface[:, 0] == pytest.approx(0.0)
    assert surface[:, 1] == pytest.approx(9.0)


def test_the_order_of_the_trials_changes_nothing() -> None:
    random = np.random.default_rng(2)
    x, y, values = random.random((3, 70))
    order = random.permutation(70)
    assert interpolate(Side(x), Side(y), values) == pytest.approx(
        interpolate(Side(x[order]), Side(y[order]), values[order]), nan_ok=True
    )
