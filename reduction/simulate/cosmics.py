"""Particle hits: short straight tracks of sharp, bright pixels."""

import numpy as np
import numpy.typing as npt

STEP_PIX = 0.25
MEAN_LENGTH_PIX = 5.0
MEDIAN_E_PER_PIX = 900.0


def particle_hits(
    shape: tuple[int, int], mean_count: float, rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    """Draw the electrons that particles leave in one exposure.

    A track has a random place, direction and exponentially distributed length, and loses
    energy at its own rate with fluctuations; unlike starlight it is not blurred.

    Parameters
    ----------
    shape : tuple
        ``(ny, nx)``.
    mean_count : float
        Mean number of particles.
    rng : Generator
        This frame's random numbers.

    Returns
    -------
    float64 array
        Electrons, ``(ny, nx)``, whole numbers; zero where nothing hit.
    """
    ny, nx = shape
    plane = np.zeros(shape)
    for _ in range(rng.poisson(mean_count)):
        length = 1.0 + rng.exponential(MEAN_LENGTH_PIX)
        along = np.arange(0.0, length, STEP_PIX)
        angle = rng.uniform(0.0, 2 * np.pi)
        x = np.rint(rng.uniform(0, nx) + along * np.cos(angle)).astype(int)
        y = np.rint(rng.uniform(0, ny) + along * np.sin(angle)).astype(int)
        loss = rng.lognormal(np.log(MEDIAN_E_PER_PIX * STEP_PIX), 0.7)
        energy = loss * rng.gamma(2.0, 0.5, along.size)
        inside = (x >= 0) & (x < nx) & (y >= 0) & (y < ny)
        np.add.at(plane, (y[inside], x[inside]), energy[inside])
    return np.asarray(np.rint(plane))
