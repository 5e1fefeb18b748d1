"""Light in circles and ellipses: areas are those of geometry, bad pixels are made up for."""

import numpy as np
import numpy.typing as npt
import pytest

from reduction.kernels.circles import circle_sums, overlap, ring_sums
from reduction.kernels.stars import Light


def flat(value: float, shape: tuple[int, int] = (60, 70)) -> Light:
    plane = np.full(shape, value, np.float32)
    return Light(
        plane, np.zeros_like(plane), np.ones_like(plane), np.zeros(shape, np.uint16), np.uint16(1)
    )


def shares_of(place: tuple[float, float], radius: float) -> npt.NDArray[np.float64]:
    """Return the shares of the pixels of a flat frame in a circle."""
    dx, dy = np.abs(np.arange(70) - place[0]), np.abs(np.arange(60) - place[1])
    near = np.argwhere(np.hypot(dx[None, :], dy[:, None]) < radius + 1)
    return np.array([overlap(dx[i], dy[j], radius) for j, i in near])


@pytest.mark.parametrize("radius", [0.4, 0.8, 1.5, 2.9, 3.1, 7.3, 20.0])
@pytest.mark.parametrize("place", [(30.0, 30.0), (31.3, 28.9), (30.5, 30.5), (29.9999, 30.0)])
def test_a_circle_on_a_flat_frame_holds_its_area(radius: float, place: tuple[float, float]) -> None:
    flux, error = np.empty((1, 1)), np.empty((1, 1))

    circle_sums(
        flat(1.0), (np.array([place[0]]), np.array([place[1]])), np.array([radius]), flux, error
    )

    assert flux[0, 0] == pytest.approx(np.pi * radius**2, rel=2e-5)
    assert error[0, 0] == pytest.approx(np.sqrt(np.sum(shares_of(place, radius) ** 2)), rel=1e-9)


def test_overlap_of_a_pixel_is_what_fine_parts_of_it_say(rng: np.random.Generator) -> None:
    parts = (np.arange(400) + 0.5) / 400 - 0.5
    for _ in range(60):
        radius = rng.uniform(0.6, 9)
        angle = rng.uniform(0, np.pi / 2)
        away = max(0.0, radius + rng.uniform(-0.7, 0.7))
        dx, dy = away * np.cos(angle), away * np.sin(angle)
        inside = np.hypot(dx + parts[:, None], dy + parts[None, :]) <= radius

        assert overlap(dx, dy, radius) == pytest.approx(inside.mean(), abs=2e-3)


def test_several_circles_at_once_hold_what_each_alone_does(rng: np.random.Generator) -> None:
    light = flat(0.0)
    light.data[:] = rng.normal(10, 3, light.data.shape)
    radii = np.array([1.0, 1.3, 2.5, 6.0, 6.2])
    x, y = rng.uniform(10, 50, 20), rng.uniform(10, 50, 20)
    flux, error = np.empty((20, 5)), np.empty((20, 5))

    circle_sums(light, (x, y), radii, flux, error)

    for k, radius in enumerate(radii):
        one, its = np.empty((20, 1)), np.empty((20, 1))
        circle_sums(light, (x, y), np.array([radius]), one, its)
        assert np.allclose(one[:, 0], flux[:, k])
        assert np.allclose(its[:, 0], error[:, k])


def test_bad_pixels_are_made_up_for_by_the_others() -> None:
    light = flat(2.0)
    light.data[30, 31] = np.nan
    light.data[31, 30], light.mask[31, 30] = 9e9, 1
    flux, error = np.empty((1, 1)), np.empty((1, 1))

    circle_sums(light, (np.array([30.0]), np.array([30.0])), np.array([4.0]), flux, error)

    assert flux[0, 0] == pytest.approx(2 * np.pi * 16, rel=1e-4)


@pytest.mark.parametrize("radii", [(1.0, 1.3, 1.9), (2.2, 4.4, 9.0)])
def test_light_in_circles_and_rings_scatters_as_said(
    radii: tuple[float, ...], rng: np.random.Generator
) -> None:
    x, y = rng.uniform(12, 47, (2, 6))
    light, n = flat(0.0), 600
    flux, told = np.empty((n, 6, 3)), np.empty((2, 6, 3))
    for k in range(n):
        light.data[:] = rng.normal(0, 1, light.data.shape)
        ring_sums(light, (x, y), np.array(radii), flux[k], told[0], told[1])

    scatter = np.std(flux, axis=0), np.std(np.diff(flux, axis=2, prepend=0.0), axis=0)

    assert np.allclose(scatter / told, 1, atol=4.5 / np.sqrt(2 * n))
