"""How shapes vary over a frame: as high an order as stars that are left out want, and no higher."""

import numpy as np
import numpy.typing as npt
import pytest

from reduction.photometry.widths import terms_of, vary

Floats = npt.NDArray[np.float64]


def stars(
    rng: np.random.Generator, truth: Floats, n: int = 100, noise: float = 0.01
) -> tuple[Floats, Floats, tuple[Floats, Floats]]:
    """Return shapes of stars by polynomials ``(k, t)``, their errors and their places."""
    u, v = rng.uniform(-1, 1, n), rng.uniform(-1, 1, n)
    shapes = terms_of(u, v, truth.shape[1]) @ truth.T
    return shapes + rng.normal(0, noise, shapes.shape), np.full(shapes.shape, noise), (u, v)


def test_shapes_that_are_the_same_everywhere_get_no_terms(rng: np.random.Generator) -> None:
    orders = [vary(*stars(rng, np.full((3, 1), 0.2))).shape[1] for _ in range(20)]

    assert orders.count(1) >= 18


def test_shapes_that_vary_are_followed_with_the_terms_that_need_be(
    rng: np.random.Generator,
) -> None:
    line = np.array([[0.0, 0.1, 0.0], [0.0, 0.1, 0.0], [0.0, 0.0, -0.05]])
    bowl = np.array([[0.0, 0.0, 0.0, 0.1, 0.0, 0.1]] * 3)

    straight, bent = vary(*stars(rng, line)), vary(*stars(rng, bowl))

    assert straight.shape == (3, 3)
    assert straight == pytest.approx(line, abs=0.01)
    assert bent.shape == (3, 6)
    assert bent == pytest.approx(bowl, abs=0.015)


def test_too_few_stars_tell_no_slope(rng: np.random.Generator) -> None:
    assert vary(*stars(rng, np.array([[0.0, 0.1, 0.0]]), n=9)).shape == (1, 1)


def test_a_galaxy_among_the_stars_does_not_widen_the_others(rng: np.random.Generator) -> None:
    shapes, errors, place = stars(rng, np.zeros((3, 1)))
    shapes[7] = 2.0

    assert vary(shapes, errors, place) == pytest.approx(np.zeros((3, 1)), abs=0.006)


def test_a_star_nothing_is_known_of_counts_for_nothing(rng: np.random.Generator) -> None:
    shapes, errors, place = stars(rng, np.zeros((3, 1)))
    shapes[3], errors[3] = 0.0, np.inf

    assert np.isfinite(vary(shapes, errors, place)).all()
