"""The step of a task that looks an image over: gain, saturation, mask, targets, catalogue."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from app.jobs import task_stars
from app.jobs.task_image import MASK, custom_mask, open_picture, several_told
from app.jobs.task_log import StepLog
from app.jobs.task_outputs import put_fits
from app.models import User
from app.services import catalogue_choice, task_filters, task_targets
from app.services.task_targets import Resolved
from reduction.errors import BadFrameError
from reduction.flags import PixelFlag
from reduction.headers.bands import canonical_band, is_open
from reduction.headers.sky import wcs_cards
from reduction.headers.task_products import cropped_header
from reduction.image import MaskPlane
from reduction.oneimage.files import plane_hdu
from reduction.oneimage.options import AFTER_INSPECT, InspectOptions, inspect_options, moment_of
from reduction.oneimage.picture import Picture, mask_of
from reduction.oneimage.targets import Target, check_near, parse_targets

_TEMPLATES: Final = ("ps1", "skymapper")
_PS1_SOUTH_DEG: Final = -30.0
_FLAGS: Final = (
    (PixelFlag.SATURATED, "saturated"),
    (PixelFlag.NO_DATA, "without a value"),
    (PixelFlag.COSMIC_RAY, "hit by particles"),
    (PixelFlag.BAD, "masked as bad or by hand"),
)


@dataclass(frozen=True, slots=True)
class _Look:
    """What a look at an image goes by."""

    by: User
    folder: Path
    picture: Picture
    options: InspectOptions
    log: StepLog


def inspect(by: User, folder: Path, config: Mapping[str, Any], log: StepLog) -> dict[str, Any]:
    """Look an image over, write its mask, and return what its configuration gains."""
    options = inspect_options(config)
    picture = open_picture(folder)
    look = _Look(by, folder, picture, options, log)
    ny, nx = picture.shape
    log.say(f"image.fits: {nx} x {ny} pixels, written by {picture.info.writer}")
    if several := several_told(folder, picture):
        log.doubt(several)
    gains = {name: value for name, value in AFTER_INSPECT.items() if config.get(name) is None}
    gains |= _levels(look, config)
    mask = _mask(look, gains | dict(config))
    targets = _targets(look)
    gains |= _about_targets(targets, config)
    gains |= _light(look, targets)
    _write(look, mask, targets)
    return gains


def _levels(look: _Look, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return gain, saturation and the background's mesh, each as given or as the image says."""
    picture, options, log = look.picture, look.options, look.log
    gain = options.gain or picture.usual_gain
    told = options.saturation or picture.told_saturation
    saturation = told or picture.usual_saturation
    log.say(f"Gain is {gain:.4g} electrons a unit, {_gain_source(look)}")
    origin = "as given" if options.saturation else "from the header"
    origin = origin if told else "from the highest values of the image"
    log.say(f"Saturation level is {saturation:.6g}, {origin}")
    gains: dict[str, Any] = {"gain": float(gain), "saturation": float(saturation)}
    if config.get("bg_size") is None:
        gains["bg_size"] = picture.usual_mesh_pix
    return gains


def _gain_source(look: _Look) -> str:
    if look.options.gain:
        return "as given"
    if look.picture.unit == "electron":
        return "as the image is in electrons"
    if look.picture.info.gain_e_per_adu:
        return "from the header"
    if look.picture.usual_gain == 1:
        return "as nobody says: give the true one, errors of magnitudes hang on it"
    return "so that the sky's noise is that of a detector: the image is not in counts"


def _mask(look: _Look, config: Mapping[str, Any]) -> MaskPlane:
    custom = custom_mask(look.folder)
    mask = mask_of(
        look.picture,
        saturation=float(config["saturation"]),
        gain=float(config["gain"]),
        custom=custom,
        has_cosmics=look.options.mask_cosmics,
    )
    for flag, what in _FLAGS:
        n = int(np.count_nonzero(mask & np.uint16(flag)))
        if n:
            look.log.say(f"{n} pixels ({n / mask.size:.2%}) are {what}")
    look.log.say(f"{np.count_nonzero(mask) / mask.size:.2%} of the image is masked")
    return mask


def targets_named(
    by: User, folder: Path, picture: Picture, config: Mapping[str, Any], log: StepLog
) -> dict[str, Any]:
    """Return what settings gain by targets that no inspection has looked up yet."""
    if config.get("targets") is not None or not config.get("target"):
        return {}
    look = _Look(by, folder, picture, inspect_options(config), log)
    return _about_targets(_targets(look), config)


def _targets(look: _Look) -> list[Resolved]:
    """Return the targets whose places are known; of the others the log says why they are not."""
    found = []
    for target in parse_targets(look.options.target):
        resolved = _placed(look, target)
        if resolved.trouble:
            look.log.doubt(f"target left out: {resolved.trouble}")
            continue
        where = resolved.how
        if resolved.pixel is None:
            where = f"{resolved.ra_deg:.6f} {resolved.dec_deg:+.6f}, {where}"
        look.log.say(f"Target {resolved.name}: {where}")
        found.append(resolved)
    return found


def _placed(look: _Look, target: Target) -> Resolved:
    if target.pixel is None:
        return task_targets.resolve(look.by, target, look.picture.info)
    check_near(target, look.picture.shape)
    if look.picture.wcs is None:
        how = "gets its place on the sky when photometry has found that of the image"
        return Resolved(target.name, how=how, pixel=target.pixel)
    ra, dec = look.picture.wcs.sky(*(np.array([value]) for value in target.pixel))
    return Resolved(target.name, float(ra[0]), float(dec[0]), how="by the header's projection")


def _about_targets(targets: list[Resolved], config: Mapping[str, Any]) -> dict[str, Any]:
    gains: dict[str, Any] = {}
    if config.get("subtraction_mode") is None:
        gains["subtraction_mode"] = "target" if targets else "detection"
    gains["targets"] = [target.record for target in targets]
    if not targets:
        return gains
    first = targets[0]
    if first.ra_deg is None:
        return gains
    gains |= {"target_ra": first.ra_deg, "target_dec": first.dec_deg}
    if config.get("blind_match_center") is None:
        gains["blind_match_center"] = f"{first.ra_deg} {first.dec_deg}"
    return gains


def _light(look: _Look, targets: list[Resolved]) -> dict[str, Any]:
    """Return filter, catalogue, template and time, each as given or as fits the image."""
    gains: dict[str, Any] = {}
    given = task_stars.band_named(look.options.cat_name, look.options.band)
    band = band_of(given, look.picture)
    if look.options.band is None and task_filters.refusal(band):
        told = look.picture.info.band_raw or band
        look.log.doubt(f"nothing is calibrated in the filter {told!r}: give one as filter")
    elif look.options.band is None or look.options.band != band:
        look.log.say(f"Filter is {band}, {_band_source(look)}")
        gains["filter"] = band
    place = _place(look.picture, targets)
    gains["cat_name"] = look.options.cat_name or task_stars.suggested(band, place)
    gains["cat_limit"] = look.options.cat_limit
    gains["template"] = (
        look.options.template or _TEMPLATES[place is not None and place[1] < _PS1_SOUTH_DEG]
    )
    look.log.say(f"Catalogue is {gains['cat_name']}, to magnitude {gains['cat_limit']:g}")
    name = gains["cat_name"]
    if not task_stars.is_loaded(name) and catalogue_choice.can_have(name):
        look.log.say(f"The catalogue {name} is not loaded: its stars are fetched when needed")
    elif not task_stars.is_loaded(name):
        look.log.doubt(f"the catalogue {gains['cat_name']} is not loaded: photometry will need it")
    when = when_of(look.options.time, look.picture)
    if when is not None:
        gains["time"] = when.strftime("%Y-%m-%d %H:%M:%S.") + f"{when.microsecond // 1000:03d}"
        look.log.say(f"Time is {gains['time']} UTC")
    else:
        look.log.doubt("the time of the image is not known: give it as time")
    return gains


def _band_source(look: _Look) -> str:
    told = look.options.band or look.picture.info.band_raw or look.picture.info.band
    if not told:
        return "as nobody says: give the true one as filter"
    return f"for what is called {told!r}"


def _place(picture: Picture, targets: list[Resolved]) -> tuple[float, float] | None:
    first = targets[0] if targets else None
    if picture.wcs is not None:
        return task_stars.field_of(picture.wcs, picture.shape)[:2]
    if first is not None and first.ra_deg is not None and first.dec_deg is not None:
        return first.ra_deg, first.dec_deg
    info = picture.info
    return None if info.ra_deg is None or info.dec_deg is None else (info.ra_deg, info.dec_deg)


def band_of(given: str | None, picture: Picture) -> str:
    """Return the one spelling of an image's filter; of an open or unknown one, what sees alike.

    Raises
    ------
    BadFrameError
        If what is given is no filter that anything here could be calibrated in.
    """
    told = given or picture.info.band
    if told is None or is_open(told):
        return task_stars.USUAL_BAND
    if given and (why := task_filters.refusal(given)):
        raise BadFrameError(why)
    return canonical_band(told)


def when_of(given: str | None, picture: Picture) -> datetime | None:
    """Return the time of an image, as given or as its header says.

    Raises
    ------
    BadFrameError
        If what is given is no time.
    """
    if given is None:
        return picture.info.mid_utc or picture.info.start_utc
    moment = moment_of(given)
    if moment is None:
        raise BadFrameError(f"time: {given!r} is no time; write it as 2026-11-20 03:04:05, in UTC")
    return moment


def _write(look: _Look, mask: MaskPlane, targets: list[Resolved]) -> None:
    """Write the mask, and the image around its first target."""
    put_fits(look.folder / MASK, [plane_hdu(mask)])
    picture = look.picture
    if not targets or picture.wcs is None:
        return
    sky = (np.array([targets[0].ra_deg]), np.array([targets[0].dec_deg]))
    x, y = (float(v[0]) for v in picture.wcs.pixel(*sky))
    half = look.options.target_pix // 2
    rows, columns = _around(y, half, picture.shape[0]), _around(x, half, picture.shape[1])
    if rows is None or columns is None:
        look.log.doubt(f"target {targets[0].name} is not on the image")
        return
    cut = picture.data[slice(*rows), slice(*columns)]
    shape = cut.shape[0], cut.shape[1]
    cards = cropped_header(wcs_cards(picture.wcs, picture.shape), columns[0], rows[0], shape)
    put_fits(look.folder / "image_target.fits", [plane_hdu(cut, cards)])


def _around(at: float, half: int, size: int) -> tuple[int, int] | None:
    if not np.isfinite(at) or not -0.5 <= at < size - 0.5:
        return None
    return max(0, round(at) - half), min(size, round(at) + half)
