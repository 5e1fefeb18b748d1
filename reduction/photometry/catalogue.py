"""The table of a frame's sources: places, fluxes, magnitudes, what a catalogue says of them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from reduction.astrometry.solution import Solution
from reduction.frameinfo import FrameInfo
from reduction.image import Image
from reduction.onsky import MATCH_PIX, MATCH_SIGMA, OnSky, Reference
from reduction.photometry.zeropoint import ZeroPoint, instrumental_mag
from reduction.refcat.pixels import KEY_ORDER, nested_of

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
Column = npt.NDArray[Any]
Rows = npt.NDArray[np.int64] | npt.NDArray[np.bool_] | slice

_KRON: Final = ("flux_kron", "flux_kron_error", "kron_radius")
NO_CELL: Final = -1  # of a source whose place on the sky is not known
HEALPIX_ORDER: Final = KEY_ORDER  # nested, cells of 0.2 arcseconds, by which rows are sorted


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """What holds for all sources of a frame.

    Attributes
    ----------
    radii_pix, growth : tuple of float
        Of the circles of ``flux_ap_1`` and so on, and the share of a star's light in each.
    fwhm_pix : float or None
        Of a star.
    exptime_s : float or None
        Of the frame.
    mid_mjd : float or None
        Middle of the exposure, UTC.
    band, unit : str or None, str
        Of the frame, and of fluxes.
    zero_point_mag, zero_point_error_mag : float or None
        Of one count a second.
    colour_term, colour_name : float or None, str
        That `mag` leaves out, such as ``g-r``.
    catalogue, light_catalogue, light_band : str or None
        The one positions are compared with, the one magnitudes are, and its band.
    scale_arcsec : float or None
        Of a pixel, None where the frame is not solved.
    """

    radii_pix: tuple[float, ...] = ()
    growth: tuple[float, ...] = ()
    fwhm_pix: float | None = None
    exptime_s: float | None = None
    mid_mjd: float | None = None
    band: str | None = None
    unit: str = "adu"
    zero_point_mag: float | None = None
    zero_point_error_mag: float | None = None
    colour_term: float | None = None
    colour_name: str = ""
    catalogue: str | None = None
    light_catalogue: str | None = None
    light_band: str | None = None
    scale_arcsec: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class SourceTable:
    """The sources of a frame, by HEALPix where its place is known, else the brightest first.

    Attributes
    ----------
    columns : mapping of str to array, ``(n,)``
        NaN where a number is not known. As `source_table` makes them:

        ``number``
            Of the source among those of its frame, the brightest is 0.
        ``healpix``
            Nested cell of order `HEALPIX_ORDER`, `NO_CELL` where the frame is not solved.
        ``x_pix, y_pix, error_pix``
            Windowed centroid, counted from 0, and its standard deviation on one axis.
        ``ra_deg, dec_deg, error_arcsec``
            The same on the sky, ICRS; the error is the centroid's, not the solution's.
        ``flux, flux_error``
            All light of a star, in the frame's unit.
        ``flux_ap_1, flux_ap_error_1`` ...
            In circles, of `SourceFacts.radii_pix`.
        ``flux_kron, flux_kron_error, kron_radius``
            In ellipses of so many half axes: of galaxies too, and not made up for what is outside.
        ``mag, mag_error``
            From `flux` and the zero point at its place; no colour term; the error is the noise's.
        ``snr, a_pix, b_pix, theta_deg, fwhm_pix, ellipticity``
            Signal to noise and shape; the angle counts from the x axis.
        ``flags, is_blended, is_truncated, is_clean``
            As of `reduction.photometry.detection.Sources`.
        ``cat_ra_deg, cat_dec_deg``
            Of the star of the astrometric catalogue it is, at the frame's epoch.
        ``cat_mag, cat_mag_error, cat_colour``
            Of the star of the photometric one.
        ``zp_residual_mag, is_zp_star, is_wcs_star``
            Catalogue less fit, of stars the zero point was tried with; those it rests on; and
            those the place of the frame does.
    facts : SourceFacts
        Of the frame.
    """

    columns: Mapping[str, Column]
    facts: SourceFacts = SourceFacts()

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()))) if self.columns else 0

    def __getitem__(self, name: str) -> Column:
        return self.columns[name]

    def __contains__(self, name: object) -> bool:
        return name in self.columns

    @property
    def names(self) -> list[str]:
        """The names of the columns, in their order."""
        return list(self.columns)

    def select(self, rows: Rows) -> Self:
        """Return some of the sources, by a mask, by their numbers, or a slice."""
        return replace(self, columns={name: one[rows] for name, one in self.columns.items()})


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
    mag, mag_error = np.full(len(flux), np.nan), np.full(len(flux), np.nan)
    if info.exptime_s:
        per_s = flux / info.exptime_s
        mag, mag_error = instrumental_mag(per_s, error / info.exptime_s)
        zero = found.zero_point
        mag = mag + (_zero_points(zero, found, per_s) if zero is not None else np.nan)
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
