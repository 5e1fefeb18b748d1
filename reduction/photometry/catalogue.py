"""The table of a frame's sources: places, fluxes, magnitudes, what a catalogue says of them."""

from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from reduction.astrometry.solution import Solution
from reduction.frameinfo import FrameInfo
from reduction.image import Image
from reduction.onsky import MATCH_PIX, MATCH_SIGMA, OnSky
from reduction.photometry.sorting import sort_sources
from reduction.photometry.sourcetable import (
    HEALPIX_ORDER,
    NO_CELL,
    Column,
    SourceFacts,
    SourceTable,
)
from reduction.photometry.zeropoint import ZeroPoint, instrumental_mag
from reduction.refcat.pixels import nested_of
from reduction.reference import Reference

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

_KRON: Final = ("flux_kron", "flux_kron_error", "kron_radius")
_PSF: Final = ("flux_psf", "flux_psf_error", "chi2_psf", "share_psf", "seen_psf")


def source_table(found: OnSky, info: FrameInfo, image: Image) -> SourceTable:
    """Return the table of a frame's sources.

    Parameters
    ----------
    found : OnSky
        What became of the frame.
    info : FrameInfo
        Its exposure time, band and time.
    image : Image
        Its pixels.

    Returns
    -------
    SourceTable
        Sorted by HEALPix where the frame is solved.
    """
    columns = (
        _places(found)
        | _fluxes(found, info)
        | _by_profile(found, info)
        | _ellipses(found, image)
        | _shapes(found)
        | _of_catalogue(found)
        | _of_zero_point(found)
    )
    table = SourceTable(columns, _facts(found, info, image.unit))
    return table.select(np.lexsort([table["number"], table["healpix"]]))


def _facts(found: OnSky, info: FrameInfo, unit: str) -> SourceFacts:
    zero, light = found.zero_point, found.light
    return SourceFacts(
        radii_pix=tuple(float(radius) for radius in found.apertures.radii_pix),
        growth=tuple(float(share) for share in found.apertures.growth),
        fwhm_pix=found.detected.fwhm_pix,
        exptime_s=info.exptime_s,
        mid_mjd=_mjd(info),
        band=info.band,
        unit=unit,
        zero_point_mag=zero.value if zero else None,
        zero_point_error_mag=zero.total_error if zero else None,
        colour_term=zero.colour_term if zero else None,
        colour_name=light.colour_name if light else "",
        catalogue=found.reference.name if found.reference else None,
        light_catalogue=light.name if light else None,
        light_band=light.band if light else None,
        scale_arcsec=found.solution.wcs.scale_arcsec if found.solution else None,
    )


def _mjd(info: FrameInfo) -> float | None:
    if info.mid_utc is None:
        return None
    return info.mid_utc.timestamp() / 86_400 + _MJD_OF_1970


_MJD_OF_1970: Final = 40_587.0


def _places(found: OnSky) -> dict[str, Column]:
    sources = found.detected.sources
    n = len(sources)
    ra, dec, cell = np.full(n, np.nan), np.full(n, np.nan), np.full(n, NO_CELL, np.int64)
    scale = np.nan
    if found.solution is not None and n:
        wcs = found.solution.wcs
        ra, dec = wcs.sky(sources.x, sources.y)
        cell, scale = nested_of(ra, dec, HEALPIX_ORDER), wcs.scale_arcsec
    return {
        "number": np.arange(n, dtype=np.int32),
        "healpix": cell,
        "ra_deg": ra,
        "dec_deg": dec,
        "error_arcsec": _short(sources.error_pix * scale),
        "x_pix": sources.x,
        "y_pix": sources.y,
        "error_pix": _short(sources.error_pix),
    }


def _fluxes(found: OnSky, info: FrameInfo) -> dict[str, Column]:
    apertures = found.apertures
    flux, error = apertures.total, apertures.total_error
    mag, mag_error = _magnitudes(found, info, (flux, error))
    columns: dict[str, Column] = {
        "mag": _short(mag),
        "mag_error": _short(mag_error),
        "flux": _short(flux),
        "flux_error": _short(error),
    }
    for k in range(apertures.flux.shape[1]):
        columns[f"flux_ap_{k + 1}"] = _short(apertures.flux[:, k])
        columns[f"flux_ap_error_{k + 1}"] = _short(apertures.error[:, k])
    return columns


def _magnitudes(
    found: OnSky, info: FrameInfo, light: tuple[Floats, Floats]
) -> tuple[Floats, Floats]:
    """Return the magnitudes of fluxes and their errors, NaN where there is no zero point."""
    flux, error = light
    zero = found.zero_point
    if not info.exptime_s:
        return np.full(len(flux), np.nan), np.full(len(flux), np.nan)
    per_s = flux / info.exptime_s
    mag, mag_error = instrumental_mag(per_s, error / info.exptime_s)
    return mag + (np.nan if zero is None else _zero_points(zero, found, per_s)), mag_error


def _by_profile(found: OnSky, info: FrameInfo) -> dict[str, Column]:
    """Return the light by the point spread function, NaN where that was not measured."""
    psf = found.psf
    nothing = np.full(len(found.detected.sources), np.nan)
    light = (psf.flux, psf.error) if psf is not None else (nothing, nothing)
    told = (psf.chi2, psf.alone, psf.seen) if psf is not None else (nothing,) * 3
    mag, mag_error = _magnitudes(found, info, light)
    columns = {"mag_psf": _short(mag), "mag_psf_error": _short(mag_error)}
    return columns | dict(zip(_PSF, map(_short, (*light, *told)), strict=True))


def _ellipses(found: OnSky, image: Image) -> dict[str, Column]:
    if not len(found.detected.sources):
        return {name: np.empty(0, np.float32) for name in _KRON}
    kron = found.detected.kron(image)
    return dict(zip(_KRON, map(_short, (kron.flux, kron.error, kron.radius)), strict=True))


def _zero_points(zero: ZeroPoint, found: OnSky, flux_per_s: Floats) -> Floats:
    """Return what is added to the instrumental magnitude of each source, at its place."""
    sources = found.detected.sources
    ny, nx = found.detected.background.shape
    x, y = 2 * sources.x / max(nx - 1, 1) - 1, 2 * sources.y / max(ny - 1, 1) - 1
    return zero.of_stars(flux_per_s, x, y)


def _shapes(found: OnSky) -> dict[str, Column]:
    sources = found.detected.sources
    return {
        "kind": sort_sources(found.detected, found.apertures),
        "snr": _short(sources.snr),
        "fwhm_pix": _short(sources.fwhm_pix),
        "ellipticity": _short(sources.ellipticity),
        "a_pix": _short(sources.a_pix),
        "b_pix": _short(sources.b_pix),
        "theta_deg": _short(np.degrees(sources.theta_rad)),
        "flags": sources.flags,
        "is_blended": sources.is_blended,
        "is_truncated": sources.is_truncated,
        "is_clean": sources.is_clean,
    }


def _of_catalogue(found: OnSky) -> dict[str, Column]:
    """Return what the catalogues say of each source they know."""
    n = len(found.detected.sources)
    ra, dec = np.full(n, np.nan), np.full(n, np.nan)
    mag, error, colour = np.full(n, np.nan), np.full(n, np.nan), np.full(n, np.nan)
    solution, reference, light = found.solution, found.reference, found.light
    if solution is not None and reference is not None:
        stars, known = _matched(found, solution, reference)
        ra[stars], dec[stars] = reference.ra_deg[known], reference.dec_deg[known]
        ra[solution.stars] = reference.ra_deg[solution.catalogue]
        dec[solution.stars] = reference.dec_deg[solution.catalogue]
    if solution is not None and light is not None:
        stars, known = _matched(found, solution, light)
        mag[stars], error[stars] = light.mag[known], light.mag_error[known]
        if light.colour is not None:
            colour[stars] = light.colour[known]
    return {
        "cat_ra_deg": ra,
        "cat_dec_deg": dec,
        "cat_mag": _short(mag),
        "cat_mag_error": _short(error),
        "cat_colour": _short(colour),
    }


def _matched(found: OnSky, solution: Solution, reference: Reference) -> tuple[Indices, Indices]:
    """Return which sources, doubtful ones too, are which stars of a catalogue, each once."""
    sources = found.detected.sources
    x, y = solution.wcs.pixel(reference.ra_deg, reference.dec_deg)
    there = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    if not len(sources) or not len(there):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    radius_pix = max(MATCH_PIX, MATCH_SIGMA * solution.held_out_rms_pix)
    distance, nearest = cKDTree(np.column_stack([x[there], y[there]])).query(
        np.column_stack([sources.x, sources.y]), distance_upper_bound=radius_pix
    )
    near = np.flatnonzero(np.isfinite(distance))
    order = near[np.argsort(distance[near], kind="stable")]
    _, first = np.unique(nearest[order], return_index=True)  # the nearest has it, no second one
    kept = np.sort(order[first])
    return kept, there[nearest[kept]]


def _of_zero_point(found: OnSky) -> dict[str, Column]:
    n = len(found.detected.sources)
    residual, is_zero, is_wcs = np.full(n, np.nan), np.zeros(n, np.bool_), np.zeros(n, np.bool_)
    if found.solution is not None:
        is_wcs[found.solution.stars] = True
    if found.zero_point is not None and found.calibrators is not None:
        residual[found.calibrators] = found.zero_point.residual_mag
        is_zero[found.calibrators] = found.zero_point.is_used
    return {"zp_residual_mag": _short(residual), "is_zp_star": is_zero, "is_wcs_star": is_wcs}


def _short(values: Floats) -> npt.NDArray[np.float32]:
    """Return numbers whose noise is far above the seventh digit in half the room."""
    return np.asarray(values, np.float32)
