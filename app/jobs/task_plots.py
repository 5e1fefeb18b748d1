"""The plots of a task's steps, drawn and written beside what they show."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from app.jobs.task_outputs import put_all, put_bytes
from reduction.oneimage.calibration import Calibration, Magnitudes, Matched, scaled
from reduction.oneimage.depth import photon_share
from reduction.oneimage.objects import Extracted
from reduction.oneimage.options import PhotometryOptions
from reduction.oneimage.place import Placed
from reduction.oneimage.prefilter import SHAPE_OUTLIER
from reduction.photometry.zeropoint import instrumental_mag
from reduction.plots import astrometry, limits, objects, zeropoint
from reduction.plots.zeropoint import ZeroPoints

Floats = npt.NDArray[np.float64]
_MODEL_SIDE = 200  # of the map of the fitted zero point, in points


def of_objects(folder: Path, found: Extracted) -> None:
    """Draw what was found on an image, how wide it is, and what looks odd."""
    these, above = found.objects, found.measurer.above
    sources, light = these.sources, these.light
    mag, _ = instrumental_mag(light.flux, light.error)
    flagged, odd = these.flags != 0, (these.flags & SHAPE_OUTLIER) != 0
    places = sources.x, sources.y
    clean = np.where(flagged, np.nan, sources.fwhm_pix)
    sharpness = these.peak / np.maximum(np.abs(these.auto_flux), 1e-30)
    features = (
        ("half-light radius", these.half_light_pix),
        ("FWHM", sources.fwhm_pix),
        ("peak / flux", sharpness),
    )
    files = {
        "objects.png": objects.objects_plot(above, places, flagged),
        "fwhm.png": objects.fwhm_map(places, clean, _shape(found), found.fwhm_pix),
        "fwhm_mag.png": objects.fwhm_mag_plot(mag, sources.fwhm_pix, flagged, found.fwhm_pix),
        "prefilter.png": objects.prefilter_plot(mag, features, odd),
    }
    put_all(folder, files)


def of_background(folder: Path, found: Extracted) -> None:
    """Draw the background of an image and its noise."""
    picture = objects.background_plot(found.detected.background, found.noise)
    put_bytes(folder / "image_bg.png", picture)


def of_calibration(
    folder: Path,
    calibration: Calibration,
    mags: Magnitudes,
    placed: Placed,
    options: PhotometryOptions,
) -> None:
    """Draw the zero point of an image, the match it rests on, and how deep it goes."""
    zero, shape = calibration.zero, _shape(calibration.extracted)
    tried = calibration.tried
    sources = calibration.extracted.objects.sources
    places = sources.x[tried.objects], sources.y[tried.objects]
    stars = _zero_points(calibration, tried, is_used=zero.is_used)
    every = _zero_points(calibration, calibration.matched, is_used=None)
    title = f"{zero.n_used} of {len(zero.is_used)} stars of {calibration.stars.name}"
    files = {
        "photometry.png": zeropoint.zero_point_plot(stars, zero.value, zero.scatter_mag, title),
        "photometry_unmasked.png": zeropoint.zero_point_plot(
            every, zero.value, zero.scatter_mag, f"All {len(every.mag)} matched stars"
        ),
        "photometry_zeropoint.png": zeropoint.zero_point_map(places, stars.zero, shape),
        "photometry_model.png": zeropoint.model_map(_model(calibration), shape),
        "photometry_residuals.png": zeropoint.residual_map(
            places, np.where(zero.is_used, stars.residual, np.nan), shape
        ),
        "astrometry_dist.png": _distances(calibration, placed),
        "limit_hist.png": limits.limit_hist(
            mags.calibrated, calibration.stars.mag, calibration.limit_mag
        ),
        "limit_sn.png": _signal(calibration, mags, options.detect.sn),
    }
    if options.diagnose_color:
        name = " - ".join(calibration.stars.colour_bands or ("no colour",))
        term = zero.colour_term if calibration.has_colour else None
        files["color_term.png"] = zeropoint.colour_plot(every, term, name)
    put_all(folder, files)


def _shape(found: Extracted) -> tuple[int, int]:
    ny, nx = found.measurer.above.shape
    return ny, nx


def _zero_points(
    calibration: Calibration, which: Matched, *, is_used: npt.NDArray[np.bool_] | None
) -> ZeroPoints:
    """Return what matched stars give as zero point, and what the fit leaves of each."""
    found, stars, zero = calibration.extracted.objects, calibration.stars, calibration.zero
    flux, error = found.light.flux[which.objects], found.light.error[which.objects]
    mag, mag_error = instrumental_mag(flux, error)
    colour = None if stars.colour is None else stars.colour[which.stars]
    term = zero.colour_term if calibration.has_colour and zero.colour_term is not None else 0.0
    known = stars.mag[which.stars]
    alone = known - mag - (0.0 if colour is None or not term else term * colour)
    sources = found.sources
    at = scaled(sources.x[which.objects], sources.y[which.objects], _shape(calibration.extracted))
    used = is_used if is_used is not None else found.flags[which.objects] == 0
    return ZeroPoints(
        mag=known,
        error=np.hypot(mag_error, stars.error[which.stars]),
        zero=alone,
        residual=alone - zero.of_stars(flux, *at),
        is_used=used,
        colour=colour,
    )


def _model(calibration: Calibration) -> Floats:
    ny, nx = _shape(calibration.extracted)
    side = max(ny, nx)
    y, x = np.mgrid[
        -1 : 1 : complex(0, max(2, _MODEL_SIDE * ny // side)),
        -1 : 1 : complex(0, max(2, _MODEL_SIDE * nx // side)),
    ]
    return calibration.zero.at(x.ravel(), y.ravel()).reshape(x.shape)


def _distances(calibration: Calibration, placed: Placed) -> bytes:
    matched, stars = calibration.matched, calibration.stars
    sources = calibration.extracted.objects.sources
    ra, dec = placed.wcs.sky(sources.x[matched.objects], sources.y[matched.objects])
    ra0, dec0 = stars.ra_deg[matched.stars], stars.dec_deg[matched.stars]
    apart = (ra - ra0 + 180) % 360 - 180
    east, north = 3600 * apart * np.cos(np.radians(dec0)), 3600 * (dec - dec0)
    return astrometry.distance_plot((east, north), matched.radius_arcsec, matched.n_chance)


def _signal(calibration: Calibration, mags: Magnitudes, sn: float) -> bytes:
    found = calibration.extracted
    light = found.objects.light
    known = mags.calibrated[np.isfinite(mags.calibrated)]
    grid = np.linspace(known.min(), known.max() + limits.MARGIN_MAG, 100)
    flux = 10 ** (-0.4 * (grid - calibration.zero.value))
    sky = float(np.median(light.sky_error))
    expected = flux / np.sqrt(sky**2 + photon_share(found) * flux)
    return limits.limit_sn(
        mags.calibrated, found.objects.signal, found.objects.flags != 0, (grid, expected),
        (sn, calibration.limit_mag),
    )  # fmt: skip
