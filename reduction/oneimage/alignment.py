"""Laying one image onto the pixels of another: by their places on the sky, by their stars."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter, map_coordinates

from reduction.astrometry.matching import THOROUGH, trial_similarities
from reduction.astrometry.platefit import Plate, scatter
from reduction.astrometry.wcs import TanSip, terms
from reduction.errors import ReductionError
from reduction.image import FloatPlane
from reduction.photometry.detection import Detected

Floats = npt.NDArray[np.float64]
Bits = npt.NDArray[np.bool_]
Shape = tuple[int, int]
STARS: Final = 300  # brightest of each image that are matched
NEAR_PIX: Final = 8.0  # by which places on the sky may be off
LEAST_STARS: Final = 6
ENOUGH_STARS: Final = 12  # of both images, that the sky is not believed against them
LEAST_SHARE: Final = 0.2  # of the stars, that a match has
SCALE_ERROR: Final = 0.02
ROUNDS: Final = ((6.0, 1), (3.0, 1), (2.0, 2), (1.5, 2))  # radius of the match, order of the fit
STARS_FOR_BEND: Final = 40  # for order 2
MOST_SCATTER_PIX: Final = 1.0
GRID: Final = 32  # points a side, to which places on the sky are fitted
BAND_ROWS: Final = 256
COARSER: Final = 1.3  # pixels this much larger want smoothing first
BESIDE: Final = 0.5  # share of a value that masked pixels may have given, for it to count


class NotAlignedError(ReductionError):
    """Two images have no stars in common by which one could be laid onto the other."""


@dataclass(frozen=True, slots=True)
class Seat:
    """What an image is laid by.

    Attributes
    ----------
    name : str
        For messages.
    detected : Detected
        Its sources.
    shape : tuple of int
        Rows and columns.
    wcs : TanSip or None
        Its place on the sky.
    """

    name: str
    detected: Detected
    shape: Shape
    wcs: TanSip | None

    @property
    def stars(self) -> tuple[Floats, Floats, Floats]:
        """Places and errors of its brightest stars."""
        sources = self.detected.sources
        chosen = sources.like_stars(self.detected.fwhm_pix)[:STARS]
        return sources.x[chosen], sources.y[chosen], sources.error_pix[chosen]


@dataclass(frozen=True, slots=True)
class Laid:
    """Where the pixels of one image lie on another.

    Attributes
    ----------
    coefficients : float array, ``(n_terms, 2)``
        Of the polynomial from scaled offsets to offsets from the other's middle, pixels.
    size : float
        What offsets are divided by.
    middles : tuple of float
        x and y of the middle of the one, then of the other.
    n_stars : int
        It rests on; 0 where it rests on places on the sky alone.
    scatter_pix : float
        Of these.
    how : str
        A word: ``sky`` or ``stars``.
    """

    coefficients: Floats
    size: float
    middles: tuple[float, float, float, float]
    n_stars: int
    scatter_pix: float
    how: str

    def places(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Return where pixels of the one lie on the other."""
        x0, y0, x1, y1 = self.middles
        u, v = (np.asarray(x) - x0) / self.size, (np.asarray(y) - y0) / self.size
        order = next(k for k in range(1, 9) if len(terms(k)) == len(self.coefficients))
        far = np.zeros((2, *np.shape(u)))
        for (p, q), row in zip(terms(order), self.coefficients, strict=True):
            power = u**p * v**q
            far[0] += row[0] * power
            far[1] += row[1] * power
        return far[0] + x1, far[1] + y1

    @property
    def area(self) -> float:
        """How many of the other's pixels one of the one covers, at the middle."""
        return float(abs(np.linalg.det(self.coefficients[1:3]))) / self.size**2


def lay(reference: Seat, other: Seat) -> Laid:
    """Find where the pixels of a reference lie on another image.

    Both places on the sky say about where, stars in common say exactly; without places, or where
    the stars are not there, the pattern of the stars is looked for. The sky alone is believed
    only where an image has too few stars to speak against it.

    Parameters
    ----------
    reference, other : Seat
        The images.

    Returns
    -------
    Laid
        From the reference to the other.

    Raises
    ------
    NotAlignedError
        Where neither leads to a match.
    """
    plate = _plate(reference, other)
    by_sky = _by_sky(reference, other)
    found = None if by_sky is None else _closed_in(plate, by_sky, "sky")
    found = found or _by_stars(plate, reference, other)
    if found is not None:
        return found
    if by_sky is None:
        raise NotAlignedError(
            f"{other.name} cannot be laid onto {reference.name}: it has no place on the sky, and "
            "too few of its stars are found there. Leave it out, or solve it first"
        )
    if min(len(plate.x), len(plate.plane)) >= ENOUGH_STARS:
        raise NotAlignedError(
            f"{other.name} cannot be laid onto {reference.name}: their stars do not lie where "
            "their headers place them on the sky, nor is the pattern of the one found in the "
            "other. Leave it out, or solve both anew"
        )
    return by_sky


def _by_stars(plate: Plate, reference: Seat, other: Seat) -> Laid | None:
    """Return what the pattern of the stars alone says; None where it is not found."""
    for trial in _similarities(plate, reference.shape):
        start = _laid(plate, plate.guess(*trial), (reference, other))
        found = _closed_in(plate, start, "stars")
        if found is not None:
            return found
    return None


def _middle(shape: Shape) -> tuple[float, float]:
    return (shape[1] - 1) / 2, (shape[0] - 1) / 2


def _plate(reference: Seat, other: Seat) -> Plate:
    x, y, error = reference.stars
    x0, y0 = _middle(reference.shape)
    x1, y1 = _middle(other.shape)
    there_x, there_y, _ = other.stars
    return Plate(x - x0, y - y0, error, np.column_stack([there_x - x1, there_y - y1]))


def _laid(plate: Plate, coefficients: Floats, seats: tuple[Seat, Seat]) -> Laid:
    middles = (*_middle(seats[0].shape), *_middle(seats[1].shape))
    return Laid(coefficients, plate.size, middles, 0, np.inf, "stars")


def _by_sky(reference: Seat, other: Seat) -> Laid | None:
    """Return what places on the sky say, as a polynomial of order 3; None where one has none."""
    if reference.wcs is None or other.wcs is None:
        return None
    ny, nx = reference.shape
    grid_y, grid_x = np.mgrid[0 : ny - 1 : GRID * 1j, 0 : nx - 1 : GRID * 1j]
    x, y = grid_x.ravel(), grid_y.ravel()
    there = np.column_stack(other.wcs.pixel(*reference.wcs.sky(x, y)))
    known = np.isfinite(there).all(axis=1)
    powers = terms(3)
    if np.count_nonzero(known) < len(powers):
        return None
    (x0, y0), (x1, y1) = _middle(reference.shape), _middle(other.shape)
    size = max(1.0, max(reference.shape) / 2)
    u, v = (x - x0) / size, (y - y0) / size
    design = np.column_stack([u**p * v**q for p, q in powers])
    found = np.linalg.lstsq(design[known], there[known] - (x1, y1), rcond=None)[0]
    return Laid(np.asarray(found, np.float64), size, (x0, y0, x1, y1), 0, 0.0, "sky")


def _similarities(plate: Plate, shape: Shape) -> list[tuple[Floats, Floats]]:
    """Return the similarities that many stars speak for, the best first."""
    if min(len(plate.x), len(plate.plane)) < LEAST_STARS:
        return []
    trials = trial_similarities(
        (plate.x, plate.y), plate.plane, shape=shape, scale_error=SCALE_ERROR, effort=THOROUGH
    )
    return [(trial.matrix, np.array([trial.dx, trial.dy])) for trial in trials.best]


def _closed_in(plate: Plate, start: Laid, how: str) -> Laid | None:
    """Match stars closer and closer from a start; None where too few are found."""
    if min(len(plate.x), len(plate.plane)) < LEAST_STARS:
        return None
    coefficients, matches, fit = _at_size(start, plate.size), None, None
    x, y = plate.x, plate.y
    mapped = start.places(x + start.middles[0], y + start.middles[1])
    first = Plate(mapped[0] - start.middles[2], mapped[1] - start.middles[3],
                  plate.error_pix, plate.plane)  # fmt: skip
    matches = first.match(first.guess(np.eye(2), np.zeros(2)), NEAR_PIX, STARS)
    for radius_pix, order in ROUNDS:
        needed = max(LEAST_STARS, LEAST_SHARE * min(len(x), len(plate.plane)))
        if len(matches) < needed:
            return None
        bent = order if len(matches) >= STARS_FOR_BEND else 1
        fit = plate.fit(matches, bent)
        coefficients = fit.coefficients
        matches = plate.match(coefficients, radius_pix, STARS)
    if fit is None or scatter(fit.residuals) > MOST_SCATTER_PIX:
        return None
    return Laid(coefficients, plate.size, start.middles, len(matches), scatter(fit.residuals), how)


def _at_size(laid: Laid, size: float) -> Floats:
    """Return a polynomial's coefficients for offsets divided by another size."""
    order = next(k for k in range(1, 9) if len(terms(k)) == len(laid.coefficients))
    factors = [(size / laid.size) ** (p + q) for p, q in terms(order)]
    return np.asarray(laid.coefficients * np.array(factors)[:, None])


def resampled(data: FloatPlane, masked: Bits, laid: Laid, shape: Shape, out: FloatPlane) -> None:
    """Write an image as the reference's pixels see it, their light conserved.

    Bicubic interpolation times how many pixels each covers; where those are larger the image is
    smoothed first. NaN outside, and where masked pixels gave more than half of a value.

    Parameters
    ----------
    data : float32 array, ``(ny, nx)``
        The other image.
    masked : bool array, ``(ny, nx)``
        Pixels that tell nothing; they take the median of the others.
    laid : Laid
        From the reference to it.
    shape : tuple of int
        Rows and columns of the reference.
    out : float32 array, of `shape`
        Is filled.
    """
    filled = np.where(masked, np.float32(np.median(data[~masked])), data)
    stretch = np.sqrt(laid.area)
    if stretch > COARSER:
        filled = gaussian_filter(filled, 0.5 * np.sqrt(stretch**2 - 1))
    bad = masked.astype(np.float32)
    columns = np.arange(shape[1], dtype=np.float64)
    for first in range(0, shape[0], BAND_ROWS):
        rows = np.arange(first, min(shape[0], first + BAND_ROWS), dtype=np.float64)
        x, y = laid.places(*np.meshgrid(columns, rows))
        values = map_coordinates(filled, [y, x], order=3, mode="nearest")
        lost = map_coordinates(bad, [y, x], order=1, mode="constant", cval=1.0)
        outside = (x < -0.5) | (y < -0.5) | (x > data.shape[1] - 0.5) | (y > data.shape[0] - 0.5)
        values[(lost > BESIDE) | outside] = np.nan
        out[first : first + BAND_ROWS] = values * np.float32(laid.area)
