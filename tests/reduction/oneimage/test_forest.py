"""Isolation forests: the lonely are parted quickly, the crowd is not."""

import numpy as np
import numpy.typing as npt
import pytest

from reduction.oneimage.forest import grow_forest, usual_depth

Floats = npt.NDArray[np.float64]


@pytest.fixture
def crowd() -> Floats:
    return np.random.default_rng(4).normal(0.0, 1.0, (600, 3))


def test_who_stands_apart_is_lonelier_than_all_others(crowd: Floats) -> None:
    points = np.vstack([crowd, [[9.0, -9.0, 9.0]]])

    found = grow_forest(points, np.random.default_rng(1)).loneliness(points)

    assert np.argmax(found) == len(crowd)
    assert found[-1] > 0.7
    assert np.median(found) < 0.5
    assert (found > 0).all()
    assert (found < 1).all()


def test_the_same_seed_grows_the_same_trees_and_points_stay_as_they_are(crowd: Floats) -> None:
    before = crowd.copy()

    first, again = (
        grow_forest(crowd, np.random.default_rng(7)).loneliness(crowd) for _ in range(2)
    )

    assert np.array_equal(first, again)
    assert np.array_equal(crowd, before)


def test_points_all_alike_are_a_crowd() -> None:
    points = np.ones((50, 2))

    found = grow_forest(points, np.random.default_rng(1)).loneliness(points)

    assert found == pytest.approx(0.5)  # nothing can be cut: the depth of a search among fifty


@pytest.mark.parametrize(("n", "depth"), [(1, 0.0), (2, 1.0), (256, 10.2448)])
def test_depth_of_an_unsuccessful_search_is_the_printed_one(n: int, depth: float) -> None:
    # Liu, Ting & Zhou 2008, equation 1, with the harmonic number as ln(i) + Euler's constant.
    assert usual_depth(np.array(n)) == pytest.approx(depth, abs=1e-3)


def test_every_point_of_a_sample_comes_to_one_leaf(crowd: Floats) -> None:
    forest = grow_forest(crowd, np.random.default_rng(2))

    leaves = np.where(forest.feature < 0, forest.size, 0).sum(axis=1)

    assert (leaves == forest.sample).all()
    assert (forest.size[:, 0] == 256).all()
