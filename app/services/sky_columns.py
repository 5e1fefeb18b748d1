"""What the database keeps of a frame's place on the sky, its sources and its zero point."""

from typing import Any, Final

import numpy as np

from reduction.onsky import OnSky

SOLVED: Final = "solved"
UNSOLVED: Final = "unsolved"


# The columns of a frame's row that hold what was found of it.
_COLUMNS: Final = (
    "sky_state",
    "sky_cause",
    "scale_arcsec",
    "rotation_deg",
    "wcs_rms_arcsec",
    "n_sources",
    "fwhm_pix",
    "ellipticity",
    "sky_level",
    "sky_noise",
    "zero_point_mag",
    "zero_point_error_mag",
    "limit_mag",
)


def none() -> dict[str, Any]:
    """Return the columns of a frame that was not looked at."""
    return dict.fromkeys(_COLUMNS) | {"on_sky": {}}


def columns(on_sky: OnSky, shape: tuple[int, int]) -> dict[str, Any]:
    """Return the columns of a reduced frame of `shape`, rows and columns."""
    found, zero = on_sky.detected, on_sky.zero_point
    values = none() | {
        "sky_state": UNSOLVED if on_sky.solution is None else SOLVED,
        "sky_cause": on_sky.cause or None,
        "n_sources": len(found.sources),
        "fwhm_pix": found.fwhm_pix,
        "ellipticity": found.ellipticity,
        "sky_level": found.sky,
        "sky_noise": found.sky_noise,
        "wcs_rms_arcsec": on_sky.rms_arcsec,
        "zero_point_mag": zero.value if zero else None,
        "zero_point_error_mag": zero.error if zero else None,
        "limit_mag": on_sky.limit_mag,
        "on_sky": _details(on_sky),
    }
    return values | _place(on_sky, shape)


def _place(on_sky: OnSky, shape: tuple[int, int]) -> dict[str, Any]:
    if on_sky.solution is None:
        return {}
    wcs = on_sky.solution.wcs
    ny, nx = shape
    ra, dec = wcs.sky(np.array([(nx - 1) / 2]), np.array([(ny - 1) / 2]))
    return {
        "ra_deg": float(ra[0]),
        "dec_deg": float(dec[0]),
        "position_role": "wcs",
        "scale_arcsec": wcs.scale_arcsec,
        "rotation_deg": wcs.rotation_deg,
    }


def _details(on_sky: OnSky) -> dict[str, Any]:
    details: dict[str, Any] = {
        "message": on_sky.message,
        "catalogue": on_sky.reference.name if on_sky.reference else None,
        "no_zero_point": on_sky.no_zero_point,
    }
    if on_sky.solution is not None:
        details |= {
            "matched": len(on_sky.solution.stars),
            "order": on_sky.solution.wcs.order,
            "is_flipped": on_sky.solution.wcs.is_flipped,
            "log10_chance": round(on_sky.solution.log10_chance, 1),
        }
    if on_sky.zero_point is not None and on_sky.light is not None:
        zero = on_sky.zero_point
        details |= {
            "zero_point_stars": zero.n_used,
            "zero_point_scatter_mag": zero.scatter_mag,
            "zero_point_catalogue": on_sky.light.name,
            "zero_point_band": on_sky.light.band,
            "colour": on_sky.light.colour_name if zero.colour_term is not None else None,
            "colour_term": zero.colour_term,
            "colour_term_error": zero.colour_term_error,
        }
    return details
