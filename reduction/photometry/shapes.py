"""Ellipses of sources from the moments of their light, and the light within them."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from reduction.kernels import circles
from reduction.kernels.stars import Light

Floats = npt.NDArray[np.float64]
PIXEL_VARIANCE: Final = 1 / 12  # of a square pixel about its middle
KRON_REACH: Final = 6.0  # of a source's half axes, that its first moment is taken in
KRON_FACTOR, LEAST_KRON = 2.5, 3.5
LEAST_AXIS_PIX: Final = 0.3


@dataclass(frozen=True, slots=True)
class Ellipses:
    """Half axes, standard deviations of the light along them, and angle, ``(n,)`` each.

    Attributes
    ----------
    a_pix, b_pix : float arrays
        The longer and the shorter one.
    theta_rad : float array
        Of the longer one from the x axis, from -pi/2 to pi/2.
    """

    a_pix: Floats
    b_pix: Floats
    theta_rad: Floats

    def inverse(self) -> Floats:
        """Return the coefficients of x^2, y^2 and xy, 1 on the ellipse, ``(n, 3)``."""
        a2 = np.maximum(self.a_pix, LEAST_AXIS_PIX) ** 2
        b2 = np.maximum(self.b_pix, LEAST_AXIS_PIX) ** 2
        cos, sin = np.cos(self.theta_rad), np.sin(self.theta_rad)
        xx, yy = cos**2 / a2 + sin**2 / b2, sin**2 / a2 + cos**2 / b2
        return np.column_stack([xx, yy, 2 * cos * sin * (1 / a2 - 1 / b2)])


@dataclass(frozen=True, slots=True)
class Kron:
    """Light within Kron's ellipses, ``(n,)`` each.

    Attributes
    ----------
    radius : float array
        In units of a source's half axes.
    flux, error : float arrays
        In the frame's unit, with the noise of pixels and source.
    """

    radius: Floats
    flux: Floats
    error: Floats


def ellipses_of(x2: Floats, y2: Floats, xy: Floats) -> Ellipses:
    """Return ellipses of central second moments, pixels squared.

    Light of a single row or column of pixels is given the width of a pixel.

    Parameters
    ----------
    x2, y2, xy : float arrays, ``(n,)``
        Variances and covariance of the light.

    Returns
    -------
    Ellipses
        Axes and angles.
    """
    flat = x2 * y2 - xy**2 < PIXEL_VARIANCE**2
    x2, y2 = np.where(flat, x2 + PIXEL_VARIANCE, x2), np.where(flat, y2 + PIXEL_VARIANCE, y2)
    middle, half = (x2 + y2) / 2, np.hypot((x2 - y2) / 2, xy)
    theta = 0.5 * np.arctan2(2 * xy, x2 - y2)
    return Ellipses(
        np.sqrt(np.maximum(middle + half, 0.0)), np.sqrt(np.maximum(middle - half, 0.0)), theta
    )


def kron_light(light: Light, x: Floats, y: Floats, ellipses: Ellipses) -> Kron:
    """Measure sources within ellipses 2.5 times as large as the first moment of their light.

    Parameters
    ----------
    light : Light
        Frame above its sky.
    x, y : float arrays, ``(n,)``
        Places.
    ellipses : Ellipses
        Shapes.

    Returns
    -------
    Kron
        Radii and light; pixels that are not looked at are made up for.

    References
    ----------
    Kron R. G. (1980), ApJS 43, 305.
    """
    n = len(x)
    out = np.empty(n), np.empty(n), np.empty(n)
    shapes = ellipses.inverse(), np.maximum(ellipses.a_pix, LEAST_AXIS_PIX)
    circles.kron(light, (x, y), shapes, (KRON_REACH, KRON_FACTOR, LEAST_KRON), out)
    return Kron(*out)
