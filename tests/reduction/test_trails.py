"""Trails are told from round and from merely elongated stars."""

import numpy as np
import numpy.typing as npt
import pytest

from reduction.image import Image
from reduction.photometry.detection import detect
from reduction.trails import Trail, trail_of

Floats = npt.NDArray[np.float64]


def drawn_stars(
    rng: np.random.Generator, length_pix: float, angle_deg: float | Floats, n: int = 60
) -> Image:
    """Return stars of 3 pixels drawn out along a line, each its own way where angles are many."""
    shape, sigma = (400, 400), 3.0 / 2.3548
    light = np.full(shape, 200.0)
    yy, xx = np.mgrid[: shape[0], : shape[1]]
    angles = np.radians(np.broadcast_to(angle_deg, n))
    steps = np.linspace(-0.5, 0.5, 25) * length_pix
    places = rng.uniform(20, 380, (n, 2))
    for (x0, y0), angle in zip(places, angles, strict=True):
        rows = slice(max(0, int(y0) - 25), int(y0) + 26)
        columns = slice(max(0, int(x0) - 25), int(x0) + 26)
        x, y = xx[rows, columns], yy[rows, columns]
        for step in steps:
            r2 = (x - x0 - step * np.cos(angle)) ** 2 + (y - y0 - step * np.sin(angle)) ** 2
            share = 2e4 / len(steps)
            light[rows, columns] += share / (2 * np.pi * sigma**2) * np.exp(-r2 / (2 * sigma**2))
    data = rng.poisson(light).astype(np.float32)
    return Image(data, light.astype(np.float32), np.zeros(shape, np.uint16), "electron")


def trail_in(image: Image) -> Trail:
    found = trail_of(detect(image).sources)
    assert found is not None
    return found


@pytest.mark.parametrize(("length_pix", "angle_deg"), [(6.0, 30.0), (10.0, 90.0), (8.0, 178.0)])
def test_the_length_and_direction_of_a_trail_are_those_the_stars_moved_by(
    rng: np.random.Generator, length_pix: float, angle_deg: float
) -> None:
    found = trail_in(drawn_stars(rng, length_pix, angle_deg))

    assert found.length_pix == pytest.approx(length_pix, rel=0.15)
    assert abs((found.angle_deg - angle_deg + 90) % 180 - 90) < 3
    assert found.alignment > 0.95
    assert found.n > 30


def test_round_stars_have_hardly_a_trail(rng: np.random.Generator) -> None:
    assert trail_in(drawn_stars(rng, 0.0, 0.0)).length_pix < 1.0


def test_stars_that_are_drawn_out_each_their_own_way_are_no_trail(
    rng: np.random.Generator,
) -> None:
    found = trail_in(drawn_stars(rng, 6.0, rng.uniform(0, 180, 60)))

    assert found.alignment < 0.6
    assert found.length_pix < 4.0


def test_a_frame_of_few_stars_tells_nothing_of_trails(rng: np.random.Generator) -> None:
    assert trail_of(detect(drawn_stars(rng, 8.0, 30.0, n=3)).sources) is None
