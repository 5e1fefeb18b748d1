"""Amplifiers brought to one scale by the sky at their seams."""

import numpy as np
import pytest

from reduction.camera import Section
from reduction.image import Image
from reduction.seams import amplifier_factors, apply_factors, match_amplifiers

CORNERS = [
    Section(0, 80, 0, 100),
    Section(0, 80, 100, 200),
    Section(80, 160, 0, 100),
    Section(80, 160, 100, 200),
]
WRONG = np.array([1.0, 1.02, 0.99, 1.01])


def frame(
    rng: np.random.Generator,
    *,
    sky: float,
    wrong: np.ndarray[tuple[int], np.dtype[np.float64]] = WRONG,
) -> Image:
    """Return a frame with a gradient, a star on a seam, and amplifiers of wrong scale."""
    light = sky * (1 + 0.1 * np.arange(200)[None, :] / 200 + np.zeros((160, 1)))
    light[70:95, 30:60] += 5000.0
    data = rng.normal(light, np.sqrt(light + 25))
    for to, factor in zip(CORNERS, wrong, strict=True):
        data[to.y0 : to.y1, to.x0 : to.x1] *= factor
    plane = data.astype(np.float32)
    return Image(plane, np.abs(plane) + 25, np.zeros(plane.shape, np.uint16), "electron")


def test_factors_undo_the_wrong_scales(rng: np.random.Generator) -> None:
    factors = amplifier_factors(frame(rng, sky=2000.0), CORNERS)

    ratio = np.array(factors) * WRONG
    assert ratio / ratio.mean() == pytest.approx(1, abs=0.004)
    assert np.prod(factors) == pytest.approx(1, abs=1e-9)


def test_values_and_variance_are_scaled_together(rng: np.random.Generator) -> None:
    image = frame(rng, sky=2000.0)

    scaled = apply_factors(image, CORNERS[:2], [2.0, 0.5])

    assert np.allclose(scaled.data[:80, :100], 2 * image.data[:80, :100])
    assert np.allclose(scaled.variance[:80, 100:], 0.25 * image.variance[:80, 100:])
    assert np.array_equal(scaled.data[80:], image.data[80:])


def test_flagged_pixels_say_nothing(rng: np.random.Generator) -> None:
    image = frame(rng, sky=2000.0)
    image.data[:, 95:105] = 1e6
    image.mask[:, 95:105] = 2

    factors = amplifier_factors(image, CORNERS)

    ratio = np.array(factors) * WRONG
    assert ratio / ratio.mean() == pytest.approx(1, abs=0.006)


@pytest.mark.parametrize("sky", [0.0, 3.0])
def test_faint_sky_says_nothing(sky: float, rng: np.random.Generator) -> None:
    image = frame(rng, sky=sky)

    same, notes = match_amplifiers(image, CORNERS)

    assert same is image
    assert notes == []


def test_large_step_is_not_believed_to_be_a_gain(rng: np.random.Generator) -> None:
    image = frame(rng, sky=2000.0, wrong=np.array([1.0, 1.3, 1.0, 1.0]))

    assert amplifier_factors(image, CORNERS) == [1.0] * 4


def test_one_amplifier_has_no_seam(rng: np.random.Generator) -> None:
    image = frame(rng, sky=2000.0, wrong=np.ones(4))

    assert amplifier_factors(image, [Section(0, 160, 0, 200)]) == [1.0]
