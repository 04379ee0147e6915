import numpy as np
import pytest

from tunebook_server.figures.sample import thin


@pytest.fixture
def crowd() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """9,900 points in one corner and 100 spread over the rest."""
    random = np.random.default_rng(1)
    x = np.concatenate([random.random(9_900) * 0.05, random.random(100)])
    y = np.concatenate([random.random(9_900) * 0.05, random.random(100)])
    return x, y, np.arange(10_000, dtype=np.int64)


def test_never_more_than_asked(crowd: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    assert thin(*crowd, keep=1_500).sum() == 1_500
    assert thin(*crowd, keep=10_000).all()


def test_sparse_regions_keep_their_points(crowd: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    shown = thin(*crowd, keep=1_500)
    assert shown[9_900:].mean() > 0.85  # by chance alone it were 0.15


def test_a_new_point_does_not_reshuffle_the_others(crowd: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    x, y, ids = crowd
    before = thin(x, y, ids, keep=1_500)
    after = thin(np.append(x, 0.5), np.append(y, 0.5), np.append(ids, 10_000), keep=1_500)
    assert (before != after[:-1]).sum() <= 4


def test_equal_points_are_no_trouble() -> None:
    ones, ids = np.ones(2_000), np.arange(2_000, dtype=np.int64)
    assert thin(ones, ones, ids, keep=100).sum() == 100
