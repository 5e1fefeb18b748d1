"""Stars a catalogue has on a frame, bright enough to be seen, that no source of it is."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from app.models import Frame
from app.services import reference_stars, sky_columns
from reduction.reference import Reference

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
MOST: Final = 2000  # the brightest
SURE_MAG: Final = 0.5  # brighter than the frame's depth, a star can hardly be missed
DEFAULT_FWHM_PIX: Final = 3.0
_RIM: Final = 1.02  # of the frame's half diagonal, that the catalogue is asked for


@dataclass(frozen=True, slots=True)
class Missed:
    """What was not found, ``(n,)`` each: pixels and magnitudes, of the catalogue of that name."""

    catalogue: str | None
    band: str | None
    x: Floats
    y: Floats
    mag: Floats


def of(frame: Frame, x_pix: Floats, y_pix: Floats) -> Missed:
    """Return which stars of a frame's catalogue none of its sources, at these pixels, is near."""
    wcs = sky_columns.wcs_of(frame)
    reference = None if wcs is None else _reference(frame)
    if wcs is None or reference is None:
        none = np.empty(0)
        return Missed(None, None, none, none, none)
    x, y = wcs.pixel(reference.ra_deg, reference.dec_deg)
    chosen = _is_on(frame, x, y) & _is_bright(frame, reference)
    chosen[chosen] = _is_alone(frame, (x[chosen], y[chosen]), (x_pix, y_pix))
    rows = np.flatnonzero(chosen)[:MOST]  # the brightest come first
    return Missed(reference.name, reference.band, x[rows], y[rows], reference.mag[rows])


def _reference(frame: Frame) -> Reference | None:
    """Return the stars of the catalogue the frame's magnitudes are from, else its place."""
    if frame.ra_deg is None or frame.dec_deg is None or frame.scale_arcsec is None:
        return None
    radius_deg = _RIM * float(np.hypot(frame.nx, frame.ny)) / 2 * frame.scale_arcsec / 3600
    ask = reference_stars.asker(frame.band, frame.mid_utc)
    found = {one.name: one for one in ask(frame.ra_deg, frame.dec_deg, radius_deg)}
    names = (frame.on_sky.get(name) for name in ("zero_point_catalogue", "catalogue"))
    return next((found[name] for name in names if name in found), None)


def _is_on(frame: Frame, x: Floats, y: Floats) -> Mask:
    with np.errstate(invalid="ignore"):
        on = (x > -0.5) & (x < frame.nx - 0.5) & (y > -0.5) & (y < frame.ny - 0.5)
    return np.asarray(on, np.bool_)


def _is_bright(frame: Frame, reference: Reference) -> Mask:
    """Tell which should have been seen; all may where the frame's depth is not known."""
    if reference.band is None or frame.limit_mag is None:
        return np.ones(len(reference.mag), np.bool_)
    with np.errstate(invalid="ignore"):
        return np.asarray(reference.mag < frame.limit_mag - SURE_MAG, np.bool_)


def _is_alone(frame: Frame, places: tuple[Floats, Floats], sources: tuple[Floats, Floats]) -> Mask:
    """Tell which places have no source within the width of a star."""
    if not len(sources[0]) or not len(places[0]):
        return np.ones(len(places[0]), np.bool_)
    from scipy.spatial import cKDTree  # a slow import, and few pages need it

    reach = frame.fwhm_pix or DEFAULT_FWHM_PIX
    away, _ = cKDTree(np.column_stack(sources)).query(np.column_stack(places))
    return np.asarray(away > reach, np.bool_)
