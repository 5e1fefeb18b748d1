"""Odd shapes: what is no star of its brightness stands out, and stars do not."""

import numpy as np
import numpy.typing as npt
import pytest

from reduction.oneimage.prefilter import shape_outliers

Floats = npt.NDArray[np.float64]
N = 400


@pytest.fixture
def stars() -> tuple[Floats, Floats]:
    """Magnitudes and three features that run with magnitude and scatter more for faint stars."""
    rng = np.random.default_rng(11)
    mag = np.sort(rng.uniform(-12, -6, N))
    scatter = 0.02 + 0.03 * (mag + 12) / 6
    middle = np.column_stack([2.0 + 0.02 * (mag + 9), 3.4 - 0.05 * (mag + 9), np.full(N, 0.08)])
    return mag, middle * (1 + scatter[:, None] * rng.normal(size=(N, 3)))


def test_stars_do_not_stand_out(stars: tuple[Floats, Floats]) -> None:
    found = shape_outliers(*stars, is_clean=np.ones(N, bool))

    assert np.count_nonzero(found) <= 0.01 * N


def test_hits_galaxies_and_trails_stand_out(stars: tuple[Floats, Floats]) -> None:
    mag, features = stars
    odd = np.arange(5, N, 40)
    features = features.copy()
    features[odd[0::3]] *= [0.5, 0.45, 4.0]  # a hit: narrow and sharp
    features[odd[1::3]] *= [1.8, 1.7, 0.4]  # a galaxy
    features[odd[2::3]] *= [1.0, 2.5, 0.9]  # a trail
    before = features.copy()

    found = shape_outliers(mag, features, is_clean=np.ones(N, bool))

    assert found[odd].all()
    assert np.count_nonzero(found) <= len(odd) + 0.01 * N
    assert np.array_equal(features, before)


def test_a_crowd_of_hits_stands_out_as_well(stars: tuple[Floats, Floats]) -> None:
    mag, features = stars
    hits = np.arange(0, N, 4)
    features = features.copy()
    features[hits] *= [0.5, 0.45, 4.0]

    found = shape_outliers(mag, features, is_clean=np.ones(N, bool))

    assert found[hits].all()


def test_what_has_no_shape_stands_out_and_few_objects_say_nothing(
    stars: tuple[Floats, Floats],
) -> None:
    mag, features = stars
    holed = features.copy()
    holed[7, 1] = np.nan

    assert shape_outliers(mag, holed, is_clean=np.ones(N, bool))[7]
    assert not shape_outliers(mag[:14], holed[:14], is_clean=np.ones(14, bool)).any()


def test_the_same_list_has_the_same_outliers_again(stars: tuple[Floats, Floats]) -> None:
    first, again = (shape_outliers(*stars, is_clean=np.ones(N, bool)) for _ in range(2))

    assert np.array_equal(first, again)
