"""Pixels that answer unlike those around them, and shadows that are not such."""

import numpy as np
import numpy.typing as npt
import pytest

from reduction.badpixels import BAD, cold_pixels
from reduction.image import Image

NOISE = 0.002
SHAPE = (120, 150)


def flat_of(plane: npt.NDArray[np.float64], rng: np.random.Generator) -> Image:
    data = (plane + rng.normal(0, NOISE, plane.shape)).astype(np.float32)
    variance = np.full(plane.shape, NOISE**2, np.float32)
    return Image(data, variance, np.zeros(plane.shape, np.uint16), "1")


def bad_of(plane: npt.NDArray[np.float64], rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    mask = cold_pixels(flat_of(plane, rng), low=0.96, high=1.04, dead=0.2)
    bad: npt.NDArray[np.bool_] = (mask & BAD) != 0
    return bad


def shadow(depth: float) -> npt.NDArray[np.float64]:
    """A mote of dust: a ring, dark by `depth`, whose edges are a few pixels wide."""
    y, x = np.indices(SHAPE)
    r = np.hypot(y - 60, x - 75)
    inside = 1 / (1 + np.exp((r - 20) / 1.5))
    hole = 1 / (1 + np.exp((r - 7) / 1.5))
    return 1 - depth * (inside - hole)


@pytest.mark.parametrize("depth", [0.05, 0.1, 0.15])
def test_edges_of_a_shadow_are_good(rng: np.random.Generator, depth: float) -> None:
    assert not bad_of(shadow(depth), rng).any()


@pytest.mark.parametrize("depth", [0.0, 0.1])
def test_defects_are_found_in_a_shadow_and_out_of_it(
    rng: np.random.Generator, depth: float
) -> None:
    plane = shadow(depth)
    wrong = np.zeros(SHAPE, bool)
    for y, x in ((0, 0), (119, 40), (60, 57), (75, 75), (30, 30)):
        wrong[y, x] = True
    wrong[90:93, 100:103] = True  # a cluster
    wrong[20:110, 130:133] = True  # three columns
    wrong[:, 0] = wrong[-1] = True  # at the edges of the frame
    plane[wrong] *= 0.9

    assert (bad_of(plane, rng) == wrong).all()


def test_pixel_without_light_is_bad_however_many_are_beside_it(rng: np.random.Generator) -> None:
    plane = np.ones(SHAPE)
    plane[40:60, 50:80] = 0.1

    bad = bad_of(plane, rng)

    assert bad[40:60, 50:80].all()
    assert np.count_nonzero(bad) == 600
