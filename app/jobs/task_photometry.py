"""The step of a task that measures an image: objects, place, magnitudes, depth, targets."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from app.jobs import task_plots, task_stars
from app.jobs.task_forced import measure_targets
from app.jobs.task_image import kept_mask, open_picture, several_told
from app.jobs.task_inspect import band_of, targets_named, when_of
from app.jobs.task_log import StepLog
from app.jobs.task_outputs import put_all, put_fits
from app.jobs.task_places import centre_of, with_places
from app.models import User
from app.services import second_opinion
from reduction.headers.sky import wcs_cards
from reduction.image import Image
from reduction.oneimage.calibration import (
    Calibration,
    Magnitudes,
    NotCalibratedError,
    calibrate,
    columns_told,
    magnitudes,
    scaled,
)
from reduction.oneimage.files import place_hdus, plane_hdu
from reduction.oneimage.objects import Extracted, extract
from reduction.oneimage.options import PhotometryOptions, photometry_options
from reduction.oneimage.picture import Picture, with_noise
from reduction.oneimage.place import Placed, Seen, place
from reduction.oneimage.starlist import StarList
from reduction.oneimage.tables import (
    object_columns,
    parquet_bytes,
    star_columns,
    votable_bytes,
)


@dataclass(frozen=True, slots=True)
class Work:
    """What the photometry of an image goes by."""

    folder: Path
    config: Mapping[str, Any]
    named: Mapping[str, Any]  # what of it targets gave that were looked up just now
    options: PhotometryOptions
    log: StepLog
    picture: Picture
    image: Image
    band: str
    when: datetime | None
    centre: tuple[float, float] | None


def photometry(by: User, folder: Path, config: Mapping[str, Any], log: StepLog) -> dict[str, Any]:
    """Measure an image, write what comes of it, and return what its configuration gains."""
    work = _opened(by, folder, config, log)
    extracted = _extracted(work)
    _write_planes(work, extracted)
    _write_objects(work, extracted, None, None)
    task_plots.of_objects(folder, extracted)
    placed = _placed(work, extracted)
    _write_objects(work, extracted, placed, None)
    calibration = _calibrated(work, extracted, placed)
    extracted = calibration.extracted
    found = _write_objects(work, extracted, placed, calibration)
    put_all(folder, {"cat.parquet": parquet_bytes(star_columns(calibration.stars))})
    task_plots.of_calibration(folder, calibration, found, placed, work.options)
    found_places = {**work.named, **with_places(work.config, placed)}
    work = replace(work, config={**work.config, **found_places})
    measure_targets(work, extracted, placed, calibration)
    return _gains(work, extracted, placed, calibration) | found_places


def _opened(by: User, folder: Path, config: Mapping[str, Any], log: StepLog) -> Work:
    options = photometry_options(config)
    picture = open_picture(folder)
    if several := several_told(folder, picture):
        log.doubt(several)
    named = targets_named(by, folder, picture, config, log)
    centre = centre_of(by, options.place, picture.info)
    mask = kept_mask(folder, picture)
    image = with_noise(picture, mask, gain=options.gain, mesh_pix=_mesh(options, picture))
    light = options.light
    band = band_of(task_stars.band_named(light.cat_name, light.band), picture)
    when = when_of(_text(config.get("time")), picture)
    log.say(f"{np.count_nonzero(mask) / mask.size:.2%} of the image is masked, filter is {band}")
    merged = {**config, **named}
    return Work(folder, merged, named, options, log, picture, image, band, when, centre)


def _text(value: object) -> str | None:
    return value.strip() or None if isinstance(value, str) else None


def _mesh(options: PhotometryOptions, picture: Picture) -> int:
    asked = options.detect.mesh_pix or picture.usual_mesh_pix
    return min(asked, max(picture.shape))


def _extracted(work: Work) -> Extracted:
    found = extract(work.image, _mesh(work.options, work.picture), work.options)
    log, objects = work.log, found.objects
    log.say(f"{len(objects)} objects with S/N above {work.options.detect.sn:g}")
    if work.options.detect.prefilter:
        n = int(np.count_nonzero(objects.flags & 0x800))
        log.say(f"{n} of them look unlike the others of their brightness")
    how = "as given" if work.options.apertures.fwhm_override_pix else "of the image's stars"
    log.say(f"FWHM is {found.fwhm_pix:.2f} pixels, {how}")
    return found


def _write_planes(work: Work, found: Extracted) -> None:
    folder, wcs = work.folder, work.picture.wcs
    cards = wcs_cards(wcs, work.picture.shape) if wcs is not None else []
    planes = {
        "segmentation.fits": found.segments.labels,
        "filtered.fits": found.segments.filtered,
        "image_bg.fits": found.detected.background,
        "image_rms.fits": found.noise,
    }
    for name, plane in planes.items():
        put_fits(folder / name, [plane_hdu(plane, cards)])
    if work.options.inspect_bg:
        task_plots.of_background(folder, found)


def _write_objects(
    work: Work, found: Extracted, placed: Placed | None, calibration: Calibration | None
) -> Magnitudes:
    """Write the table of objects with what is known of them by now."""
    sources, light = found.objects.sources, found.objects.light
    zero = calibration.zero if calibration else None
    at = scaled(sources.x, sources.y, work.picture.shape)
    mags = magnitudes(zero, light.flux, light.error, at)
    nowhere = np.full(len(sources), np.nan)
    sky = placed.wcs.sky(sources.x, sources.y) if placed else (nowhere, nowhere)
    columns = object_columns(found.objects, mags, sky, calibration)
    files = {"objects.parquet": parquet_bytes(columns)}
    if calibration is not None:
        files["objects.vot"] = votable_bytes(columns)
    put_all(work.folder, files)
    return mags


def _placed(work: Work, found: Extracted) -> Placed:
    options, picture = work.options, work.picture
    seen = Seen(found.detected, picture.shape, picture.info, picture.wcs, work.centre)
    ask = task_stars.asker(work.band, options.light.cat_name, work.when, work.log.say)
    placed = place(seen, ask, options.place, second_opinion.elsewhere())
    if placed.doubt:
        work.log.doubt(f"the place could not be refined: {placed.doubt}")
    work.log.say(f"Place on the sky: {placed.how}, {placed.wcs.scale_arcsec:.4f} arcsec a pixel")
    if placed.rms_arcsec is not None:
        work.log.say(f"Stars left out of its fit scatter by {placed.rms_arcsec:.3f} arcsec")
    put_fits(work.folder / "image.wcs", place_hdus(placed.wcs, picture.shape))
    return placed


def _calibrated(work: Work, found: Extracted, placed: Placed) -> Calibration:
    log, light = work.log, work.options.light
    stars = _stars(work, placed)
    log.say(f"{len(stars)} stars of {stars.name} with magnitudes in {stars.band} ({stars.system})")
    sn = work.options.detect.sn, work.options.detect.selection_sn
    try:
        calibration = calibrate(found, placed.wcs, stars, light, sn=sn)
    except NotCalibratedError:
        if placed.doubt:
            log.doubt("the place on the sky is only what the header says, and may be wrong")
        raise
    _tell(work, calibration)
    return calibration


def _stars(work: Work, placed: Placed) -> StarList:
    """Return the stars of the catalogue asked for; of one that fits where none is named."""
    field = task_stars.field_of(placed.wcs, work.picture.shape)
    light = work.options.light
    name = light.cat_name or task_stars.suggested(work.band, field[:2])
    stars = task_stars.stars_on(name, field, work.when, work.log.say)
    return task_stars.list_of(name, stars, work.band, light.cat_limit)


def _tell(work: Work, found: Calibration) -> None:
    log, zero = work.log, found.zero
    log.say(
        f"{len(found.matched)} of them within {found.matched.radius_arcsec:.2f} arcsec of an "
        f"object, where chance would put {found.matched.n_chance:.1f}"
    )
    log.say(_of_growth(found.extracted))
    for note in found.notes:
        log.say(note[:1].upper() + note[1:])
    log.say(
        f"Zero point is {zero.value:.4f} +- {zero.total_error:.4f} from {zero.n_used} of "
        f"{len(zero.is_used)} stars, which scatter by {zero.scatter_mag:.3f} beyond their errors"
    )
    if found.has_colour and zero.colour_term is not None and found.stars.colour_bands:
        first, second = found.stars.colour_bands
        error = zero.colour_term_error or 0.0
        log.say(f"Colour term of {first} - {second} is {zero.colour_term:+.4f} +- {error:.4f}")
    if zero.nonlinearity:
        log.say(f"Non-linearity is {zero.nonlinearity:+.5f} mag a magnitude")
    if found.limit_mag is not None:
        log.say(f"A star of {found.limit_mag:.2f} has S/N {work.options.detect.sn:g}")


def _of_growth(found: Extracted) -> str:
    radius = f"Apertures of {found.measurer.radius_pix:.2f} pixels"
    if not found.growth_error and found.growth == 1:
        return f"{radius}; too few bright stars stand alone to tell what light they miss"
    return (
        f"{radius} hold {found.growth:.3f} +- {found.growth_error:.3f} of a star's light; fluxes "
        "and magnitudes are of all of it"
    )


def _gains(
    work: Work, found: Extracted, placed: Placed, calibration: Calibration
) -> dict[str, Any]:
    ra, dec, radius = task_stars.field_of(placed.wcs, work.picture.shape)
    zero, stars = calibration.zero, calibration.stars
    gains = {
        "fwhm": found.fwhm_pix,
        **columns_told(stars),
        "pixscale": placed.wcs.scale_arcsec / 3600,
        "mag_limit": calibration.limit_mag,
        "zp": zero.value,
        "zp_err": zero.total_error,
        "color_term": zero.colour_term,
        "aper_correction": float(2.5 * np.log10(found.growth)),
        "field_ra": ra,
        "field_dec": dec,
        "field_sr": radius,
    }
    if work.options.light.cat_name is None:
        gains["cat_name"] = stars.name
    return gains
