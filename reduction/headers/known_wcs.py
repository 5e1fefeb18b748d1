"""Where a header says its image lies on the sky, whatever projection it is written in."""

import re
import warnings
from collections.abc import Sequence
from typing import Final

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS, FITSFixedWarning

from reduction.astrometry.wcs import Floats, TanSip, fit_tan_sip
from reduction.cards import ProductCard
from reduction.headers.task_products import fixed_header, has_sky_wcs

_WANTED: Final = re.compile(
    r"CTYPE\d|CRVAL\d|CRPIX\d|CUNIT\d|CDELT\d|CROTA\d|CD\d_\d|PC\d_\d|LONPOLE|LATPOLE|RADESYS|"
    r"RADECSYS|EQUINOX|WCSAXES|(AP?|BP?)_(ORDER|\d+_\d+)|PV\d+_\d+|TR\d_\d+"
)
GRID: Final = 15  # points on a side of the frame to which the projection is fitted
HIGHEST_ORDER: Final = 5
EXACT_PIX: Final = 0.01
WORST_PIX: Final = 1.0


def header_wcs(cards: Sequence[ProductCard], shape: tuple[int, int]) -> TanSip | None:
    """Return the place a header gives an image, as a tangential projection with SIP terms.

    Any projection that astropy reads (TPV, ZPN, SIP, plates, ...) is fitted at a grid over the
    image, to a hundredth of a pixel where order 5 reaches that.

    Parameters
    ----------
    cards : sequence of (keyword, value, comment)
        Of the image's HDU.
    shape : tuple of int
        Rows and columns.

    Returns
    -------
    TanSip or None
        None where there is none, it cannot be read, or it cannot be fitted to a pixel.
    """
    mended = fixed_header(cards)
    if not has_sky_wcs(mended):
        return None
    grid = _grid(shape)
    sky = _sky_of(mended, *grid)
    if sky is None or not np.isfinite(sky).all():
        return None
    return _fitted(grid, (sky[0], sky[1]), shape)


def _grid(shape: tuple[int, int]) -> tuple[Floats, Floats]:
    ny, nx = shape
    y, x = np.mgrid[0 : ny - 1 : GRID * 1j, 0 : nx - 1 : GRID * 1j]
    return x.ravel(), y.ravel()


def _sky_of(cards: Sequence[ProductCard], x: Floats, y: Floats) -> Floats | None:
    header = fits.Header()
    for keyword, value, _ in cards:
        if _WANTED.fullmatch(keyword) and value is not None:
            header[keyword] = _number(value) if keyword == "EQUINOX" else value
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)
        try:
            # Galactic places, or those of another equinox, are brought to ICRS.
            sky = WCS(header, naxis=2).celestial.pixel_to_world(x, y).icrs
            return np.array([sky.ra.deg, sky.dec.deg], np.float64)
        # wcslib's own errors are ValueErrors; a header can break it in many other ways.
        except (ValueError, TypeError, KeyError, IndexError, ArithmeticError, AttributeError):
            return None


def _number(value: str | bool | int | float) -> float:
    if isinstance(value, str):
        return float(value.strip().lstrip("JB") or 2000.0)
    return float(value)


def _fitted(
    pixels: tuple[Floats, Floats], sky: tuple[Floats, Floats], shape: tuple[int, int]
) -> TanSip | None:
    middle = (shape[1] - 1) / 2, (shape[0] - 1) / 2
    nearest = int(np.argmin(np.hypot(pixels[0] - middle[0], pixels[1] - middle[1])))
    start = TanSip((float(sky[0][nearest]), float(sky[1][nearest])), middle, np.eye(2))
    found, off = None, np.inf
    for order in range(1, HIGHEST_ORDER + 1):
        try:
            found = fit_tan_sip(pixels, sky, np.ones(len(sky[0])), start=start, order=order)
            x, y = found.pixel(*sky)
        except np.linalg.LinAlgError:
            return None
        off = float(np.max(np.hypot(x - pixels[0], y - pixels[1]), initial=0.0))
        if off < EXACT_PIX:
            break
    return found if off < WORST_PIX else None
