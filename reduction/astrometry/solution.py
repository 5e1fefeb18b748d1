"""What is asked of a solver and what it answers: stars, a pointing, a place that is proved."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reduction.astrometry.wcs import TanSip

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class StarList:
    """Stars of a frame, the brightest first.

    Attributes
    ----------
    x, y : float arrays, ``(n,)``
        Positions, pixels, counted from 0.
    error_pix : float array, ``(n,)``
        Standard deviation of the position on one axis.
    shape : tuple of int
        Rows and columns of the frame.
    """

    x: Floats
    y: Floats
    error_pix: Floats
    shape: tuple[int, int]


@dataclass(frozen=True, slots=True)
class SkyList:
    """Stars of a catalogue at the frame's epoch, the brightest first, degrees."""

    ra_deg: Floats
    dec_deg: Floats


@dataclass(frozen=True, slots=True)
class Pointing:
    """Where a frame is believed to point.

    Attributes
    ----------
    ra_deg, dec_deg : float
        Of its middle.
    scale_arcsec : float
        A pixel.
    radius_deg : float
        How far its middle may be from there; the search widens it to twice that by itself.
    """

    ra_deg: float
    dec_deg: float
    scale_arcsec: float
    radius_deg: float


@dataclass(frozen=True, slots=True)
class Solution:
    """A frame's place on the sky, proved.

    Attributes
    ----------
    wcs : TanSip
        The fit to all matched stars.
    stars, catalogue : integer arrays, ``(n,)``
        Which star of the frame is which of the catalogue.
    residual_x_pix, residual_y_pix : float arrays, ``(n,)``
        Position in the frame less that predicted from the catalogue.
    rms_pix : float
        Of these on one axis.
    held_out_rms_pix : float
        The same for stars when they were left out of the fit.
    held_out_matches : int
        Stars found within a few sigma of where a fit without them puts them.
    log10_chance : float
        Logarithm of how often chance would match as many, all trials counted.
    """

    wcs: TanSip
    stars: Indices
    catalogue: Indices
    residual_x_pix: Floats
    residual_y_pix: Floats
    rms_pix: float
    held_out_rms_pix: float
    held_out_matches: int
    log10_chance: float


class UnsolvedError(Exception):
    """A frame could not be placed on the sky.

    Parameters
    ----------
    cause : str
        ``no_stars``, ``too_few``, ``not_covered`` or ``no_match``.
    message : str
        What was wrong, and what to do.
    """

    def __init__(self, cause: str, message: str) -> None:
        super().__init__(message)
        self.cause = cause
