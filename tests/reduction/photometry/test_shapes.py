"""Ellipses and the light within them: those of a known profile."""

import numpy as np
import pytest

from reduction.photometry.detection import detect
from reduction.photometry.shapes import ellipses_of
from tests.reduction.photometry.stars import make_sky


@pytest.mark.parametrize("theta", [-1.2, 0.0, 0.4, 1.5])
def test_axes_and_angle_are_those_of_the_moments(theta: float) -> None:
    a, b = 3.0, 1.2
    cos, sin = np.cos(theta), np.sin(theta)
    x2, y2 = (a * cos) ** 2 + (b * sin) ** 2, (a * sin) ** 2 + (b * cos) ** 2
    xy = (a**2 - b**2) * cos * sin

    shape = ellipses_of(np.array([x2]), np.array([y2]), np.array([xy]))

    assert shape.a_pix[0] == pytest.approx(a)
    assert shape.b_pix[0] == pytest.approx(b)
    assert shape.theta_rad[0] == pytest.approx(theta)
    xx, yy, mixed = shape.inverse()[0]
    assert xx * (a * cos) ** 2 + yy * (a * sin) ** 2 + mixed * a * a * cos * sin == pytest.approx(1)


def test_a_single_row_of_pixels_has_a_width() -> None:
    shape = ellipses_of(np.array([4.0]), np.array([0.0]), np.array([0.0]))

    assert shape.b_pix[0] == pytest.approx(np.sqrt(1 / 12))


def test_kron_light_is_nearly_all_of_a_star(rng: np.random.Generator) -> None:
    sky = make_sky(rng, 25, fwhm_pix=4.0, flux=(5e4, 5e5), shape=(900, 900))
    found = detect(sky.image)

    kron = found.kron(sky.image)

    near = [int(np.argmin(np.hypot(sky.x - x, sky.y - y))) for x, y in
            zip(found.sources.x, found.sources.y, strict=True)]  # fmt: skip
    alone = found.sources.is_clean & (found.sources.snr > 50)
    ratio = (kron.flux / sky.flux[near])[alone]
    assert np.median(ratio) == pytest.approx(0.985, abs=0.02)
    assert (kron.error[alone] > 0).all()
    assert (kron.radius >= 3.5).all()
