"""Sky in rings around stars, and light weighted by their shape."""

import numpy as np
import pytest
from scipy.stats import norm

from reduction.kernels.annuli import ring_levels, weighted_sums

SHAPE = (120, 130)


def rings(above: np.ndarray, masked: np.ndarray, x: float, y: float) -> tuple[float, float, float]:
    out = np.empty(1), np.empty(1), np.empty(1)
    ring_levels(above, masked, (np.array([x]), np.array([y])), (12.0, 18.0), out)
    return float(out[0][0]), float(out[1][0]), float(out[2][0])


def test_level_and_noise_of_a_ring_are_not_moved_by_a_neighbour(rng: np.random.Generator) -> None:
    above = rng.normal(7, 3, SHAPE).astype(np.float32)
    above[55:62, 72:79] += 500

    level, noise, share = rings(above, np.zeros(SHAPE, bool), 60.3, 58.8)

    n = np.pi * (18**2 - 12**2)
    assert level == pytest.approx(7, abs=4 * 3 / np.sqrt(n))
    assert noise == pytest.approx(3, rel=0.1)
    assert share == 1


def test_masked_pixels_and_those_beyond_the_edge_are_told(rng: np.random.Generator) -> None:
    above = rng.normal(0, 1, SHAPE).astype(np.float32)
    masked = np.zeros(SHAPE, bool)
    masked[:, :60] = True

    _, _, half = rings(above, masked, 60.0, 60.0)
    _, _, corner = rings(above, np.zeros(SHAPE, bool), 0.0, 0.0)
    level, _, none = rings(above, np.ones(SHAPE, bool), 60.0, 60.0)

    assert half == pytest.approx(0.5, abs=0.05)
    assert corner == pytest.approx(0.25, abs=0.05)
    assert none == 0
    assert np.isnan(level)


def shares(at: float, n: int, sigma: float) -> np.ndarray:
    """Return what falls on each of n pixels of a Gaussian along an axis."""
    edges = (np.arange(n + 1) - 0.5 - at) / sigma
    return np.diff(norm.cdf(edges))


def test_weighted_light_is_true_and_less_noisy_than_a_sum(rng: np.random.Generator) -> None:
    sigma, flux = 1.4, 800.0
    light = flux * np.outer(shares(59.7, SHAPE[0], sigma), shares(60.4, SHAPE[1], sigma))
    variance = np.full(SHAPE, 25.0, np.float32)
    masked = np.zeros(SHAPE, bool)
    place, sky = (np.array([60.4]), np.array([59.7])), (np.zeros(1), np.full(1, 5.0))
    found, errors = [], []
    for _ in range(200):
        data = (light + rng.normal(0, 5, SHAPE)).astype(np.float32)
        out = np.empty(1), np.empty(1)
        weighted_sums((data, variance, masked), place, sky, (sigma, 6.0), out)
        found.append(float(out[0][0]))
        errors.append(float(out[1][0]))

    assert np.mean(found) == pytest.approx(flux, abs=4 * np.std(found) / np.sqrt(200) + 4)
    assert np.std(found) == pytest.approx(np.mean(errors), rel=0.15)
    circle = 5 * np.sqrt(np.pi) * 2.3548 * sigma / 0.9375  # of a FWHM, which holds so much
    assert np.mean(errors) < 0.85 * circle
