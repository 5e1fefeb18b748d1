"""The clear sky in the zero points of a night: its extinction, its brightness, its clouds."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from reduction.normal import MAD_TO_SIGMA

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

LEAST_ERROR_MAG: Final = 0.005  # of a zero point: what sky and flat are uneven by at best
CLIP_SIGMA: Final = 3.5
ROUNDS: Final = 20
# Effective wavelengths, micrometres: Bessell (2005), ARA&A 43, 293, of Johnson and Cousins;
# Fukugita et al. (1996), AJ 111, 1748, of Sloan. The name of an S-PLUS narrow band is its own.
WAVELENGTH_UM: Final = {
    "U": 0.366,
    "B": 0.436,
    "V": 0.545,
    "R": 0.641,
    "I": 0.798,
    "u": 0.356,
    "g": 0.483,
    "r": 0.626,
    "i": 0.767,
    "z": 0.910,
    "Ha": 0.656,
    "J": 1.22,
    "H": 1.63,
    "K": 2.19,
}
UNKNOWN_BAND_UM: Final = 0.6  # the middle of what an unfiltered CCD sees


@dataclass(frozen=True, slots=True)
class Extinction:
    """Zero point against airmass: ``zero_point = at_zenith - coefficient * (airmass - 1)``.

    Attributes
    ----------
    at_zenith, at_zenith_error : float
        Zero point at airmass 1, magnitudes.
    coefficient, coefficient_error : float
        Magnitudes an airmass; the error is 0 where the coefficient was given.
    scatter_mag : float
        Of the frames that were used, about the line.
    is_fitted : bool
        Whether the coefficient is these frames' own.
    is_clear : bool array, ``(n,)``
        Which frames lie on the line: not those that clouds dimmed, nor wrong ones.
    """

    at_zenith: float
    at_zenith_error: float
    coefficient: float
    coefficient_error: float
    scatter_mag: float
    is_fitted: bool
    is_clear: Bools

    def at(self, airmass: Floats) -> Floats:
        """Return the zero point of a clear sky at some airmasses, ``(n,)``."""
        return np.asarray(self.at_zenith - self.coefficient * (airmass - 1))


def sky_brightness(
    zero_point: float, sky_level: float, exptime_s: float, scale_arcsec: float
) -> float | None:
    """Return the brightness of a frame's sky in magnitudes of a square arcsecond.

    Parameters
    ----------
    zero_point : float
        Of one count a second, magnitudes.
    sky_level : float
        Counts in a pixel.
    exptime_s, scale_arcsec : float
        Of the frame; side of a pixel on the sky.

    Returns
    -------
    float or None
        None where the frame has no sky above zero.
    """
    if sky_level <= 0 or exptime_s <= 0 or scale_arcsec <= 0:
        return None
    return float(zero_point - 2.5 * np.log10(sky_level / exptime_s / scale_arcsec**2))


def typical_extinction(band: str | None, elevation_m: float) -> float:
    """Return the extinction of a clear sky in a band, magnitudes an airmass.

    Scattering by molecules and by the aerosols of a clean site. Ozone and water are left out:
    0.03 mag at most in the usual bands.

    Parameters
    ----------
    band : str or None
        As `reduction.headers.bands` spells it; an unknown one counts as unfiltered.
    elevation_m : float
        Of the site.

    Returns
    -------
    float
        Magnitudes an airmass.

    References
    ----------
    Hayes & Latham (1975), ApJ 197, 593; Green (1992), ICQ 14, 55, for its constants.
    """
    wavelength_um = _wavelength_um(band)
    height_km = max(elevation_m, 0.0) / 1000
    inverse = wavelength_um**-2
    refraction = 0.23465 + 107.6 / (146 - inverse) + 0.93161 / (41 - inverse)
    molecules = 0.0094977 * inverse**2 * refraction**2 * np.exp(-height_km / 7.996)
    aerosols = 0.05 * wavelength_um**-1.3 * np.exp(-height_km / 1.5)
    return float(molecules + aerosols)


def _wavelength_um(band: str | None) -> float:
    name = band or ""
    if name[:1] == "F" and name[1:].isdigit():
        return int(name[1:]) / 1000
    return WAVELENGTH_UM.get(name, UNKNOWN_BAND_UM)


@dataclass(frozen=True, slots=True)
class ExtinctionParams:
    """How the clear sky is told.

    Attributes
    ----------
    coefficient : float
        Magnitudes an airmass, where the frames do not tell.
    clear_mag : float
        Frames within this of one another saw the same sky.
    least_airmass_range, least_frames : float, int
        Clear frames need both to tell a coefficient of their own.
    """

    coefficient: float
    clear_mag: float = 0.1
    least_airmass_range: float = 0.3
    least_frames: int = 6


def fit_extinction(
    airmass: Floats, zero_point: Floats, error: Floats, params: ExtinctionParams
) -> Extinction | None:
    """Tell the zero point of a clear sky against airmass from frames some of which saw clouds.

    Clouds only dim: the clear frames are the brightest ones that agree with one another. About
    their level a line is fitted by weighted least squares, and frames that lie further off than
    `CLIP_SIGMA` times what the clear ones scatter by are clipped.

    Parameters
    ----------
    airmass, zero_point, error : float arrays, ``(n,)``
        Of the frames of one night, camera and band; frames with a NaN are not clear.
    params : ExtinctionParams
        What to assume.

    Returns
    -------
    Extinction or None
        None where no frame has all three values.

    References
    ----------
    Young et al. (1991), PASP 103, 221, of extinction from frames of one night.
    """
    known = np.isfinite(airmass) & np.isfinite(zero_point) & np.isfinite(error)
    if not known.any():
        return None
    coefficient, is_fitted, coefficient_error = params.coefficient, False, 0.0
    zenith = zero_point + coefficient * (airmass - 1)
    clear = known & _agrees(zenith, known, params.clear_mag)
    weight = 1 / np.maximum(error, LEAST_ERROR_MAG) ** 2
    for _ in range(ROUNDS):
        own = _own_line(airmass, zero_point, weight, clear, params)
        is_fitted = own is not None
        coefficient, coefficient_error = own or (params.coefficient, 0.0)
        zenith = zero_point + coefficient * (airmass - 1)
        level = float(np.average(zenith[clear], weights=weight[clear]))
        still = known & (np.abs(zenith - level) <= _reach(zenith, clear, level, params))
        if not still.any() or np.array_equal(still, clear):
            break
        clear = still
    scatter = float(np.sqrt(np.mean((zenith[clear] - level) ** 2)))
    sampled = max(1 / float(weight[clear].sum()), scatter**2 / np.count_nonzero(clear))
    reached = coefficient_error * (float(np.average(airmass[clear], weights=weight[clear])) - 1)
    return Extinction(
        at_zenith=level,
        at_zenith_error=float(np.sqrt(sampled + reached**2)),
        coefficient=float(coefficient),
        coefficient_error=float(coefficient_error),
        scatter_mag=scatter,
        is_fitted=is_fitted,
        is_clear=clear,
    )


def _agrees(zenith: Floats, known: Bools, clear_mag: float) -> Bools:
    """Return the brightest frames that agree: a single bright one is a wrong zero point."""
    order = np.sort(zenith[known])[::-1]
    wanted = max(2, len(order) // 10)
    top = order[0]
    for k in range(len(order) - wanted + 1):
        if order[k] - order[k + wanted - 1] <= clear_mag:
            top = order[k]
            break
    with np.errstate(invalid="ignore"):
        return np.asarray((zenith <= top) & (zenith >= top - clear_mag))


def _reach(zenith: Floats, clear: Bools, level: float, params: ExtinctionParams) -> float:
    """Return how far off a clear frame may lie: as its like scatter, within what is one sky."""
    scatter = MAD_TO_SIGMA * float(np.median(np.abs(zenith[clear] - level)))
    return float(np.clip(CLIP_SIGMA * scatter, params.clear_mag / 2, params.clear_mag))


def _own_line(
    airmass: Floats, zero_point: Floats, weight: Floats, clear: Bools, params: ExtinctionParams
) -> tuple[float, float] | None:
    """Return the coefficient of clear frames and its error, None where they do not tell."""
    x, y, w = airmass[clear], zero_point[clear], weight[clear]
    if len(x) < params.least_frames or np.ptp(x) < params.least_airmass_range:
        return None
    away = x - np.average(x, weights=w)
    lever = float(np.sum(w * away**2))
    slope = float(np.sum(w * away * y)) / lever
    residual = y - np.average(y, weights=w) - slope * away
    chi2 = float(np.sum(w * residual**2)) / (len(x) - 2)
    error = float(np.sqrt(max(chi2, 1.0) / lever))
    # The sky cannot brighten with airmass, and no site is that murky: something else has changed.
    return (-slope, error) if -3 * error <= -slope <= 2.0 else None
