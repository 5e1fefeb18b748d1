"""What the database keeps of a frame's place on the sky, its sources and its zero point."""

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from app.models import Frame
from reduction.astrometry.wcs import TanSip
from reduction.trails import trail_of

if TYPE_CHECKING:  # pages read the columns; only what fills them loads the kernels
    from reduction.onsky import OnSky

SOLVED: Final = "solved"
UNSOLVED: Final = "unsolved"
LEFT_OUT: Final = "not put on the sky: the step am was left out"  # a note of the frame


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
    return dict.fromkeys(_COLUMNS) | {"on_sky": {}, "quality": []}


def columns(on_sky: "OnSky", shape: tuple[int, int]) -> dict[str, Any]:
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
        "zero_point_error_mag": zero.total_error if zero else None,
        "limit_mag": on_sky.limit_mag,
        "on_sky": _details(on_sky),
    }
    return values | _place(on_sky, shape)


def wcs_of(frame: Frame) -> TanSip | None:
    """Return where the pixels of a frame lie, None where that is not known."""
    kept = (frame.on_sky or {}).get("wcs")
    return TanSip.of_lists(kept) if kept else None


def _place(on_sky: "OnSky", shape: tuple[int, int]) -> dict[str, Any]:
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


def _details(on_sky: "OnSky") -> dict[str, Any]:
    details: dict[str, Any] = {
        "message": on_sky.message,
        "catalogue": on_sky.reference.name if on_sky.reference else None,
        "no_zero_point": on_sky.no_zero_point,
        **_trail(on_sky),
    }
    if on_sky.solution is not None:
        details |= {
            "found_by": on_sky.found_by,
            "matched": len(on_sky.solution.stars),
            "order": on_sky.solution.wcs.order,
            "is_flipped": on_sky.solution.wcs.is_flipped,
            "log10_chance": round(on_sky.solution.log10_chance, 1),
            "wcs": on_sky.solution.wcs.as_lists(),
        }
    if on_sky.zero_point is not None and on_sky.light is not None:
        zero = on_sky.zero_point
        details |= {
            "zero_point_stars": zero.n_used,
            "zero_point_scatter_mag": zero.scatter_mag,
            "zero_point_systematic_mag": zero.systematic_mag,
            "zero_point_spatial": list(zero.spatial),
            "zero_point_catalogue": on_sky.light.name,
            "zero_point_band": on_sky.light.band,
            "colour": on_sky.light.colour_name if zero.colour_term is not None else None,
            "colour_term": zero.colour_term,
            "colour_term_error": zero.colour_term_error,
        }
    return details


def _trail(on_sky: "OnSky") -> dict[str, Any]:
    """Return what the stars are drawn out by together, where enough of them tell."""
    found = trail_of(on_sky.detected.sources)
    if found is None:
        return {}
    return {
        "trail_pix": round(found.length_pix, 3),
        "trail_angle_deg": round(found.angle_deg, 1),
        "trail_alignment": round(found.alignment, 3),
    }
