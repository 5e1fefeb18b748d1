"""What can be asked of the steps, under the names their clients know, and their defaults."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

import numpy as np

from reduction.errors import ReductionError
from reduction.headers.times import parse_moment
from reduction.oneimage.targets import BadTargetError, parse_targets

Config = Mapping[str, Any]
_TRUE: Final = frozenset({"true", "1", "yes", "on"})
_FALSE: Final = frozenset({"false", "0", "no", "off"})
_NONE: Final = frozenset({"", "none", "null", "-"})
LARGEST_MESH_PIX: Final = 256
HIGHEST_ORDER: Final = 6
HIGHEST_DISTORTION: Final = 4  # that the plate solver fits
METHODS: Final = ("sum", "clipped_mean", "median")

# What `inspect` puts into a configuration that does not say otherwise.
AFTER_INSPECT: Final[Mapping[str, Any]] = {
    "sn": 5,
    "initial_aper": 3,
    "initial_r0": 0,
    "rel_aper": 1,
    "rel_bg1": 5,
    "rel_bg2": 7,
    "spatial_order": 2,
    "minarea": 5,
    "use_color": True,
    "refine_wcs": True,
    "blind_match_wcs": False,
    "hotpants_extra": {"ko": 0, "bgo": 0},
    "sub_size": 1000,
    "sub_overlap": 50,
    "sub_verbose": False,
}


class BadOptionError(ReductionError):
    """A value of the configuration that cannot be used; the message names it and says why."""

    def __init__(self, name: str, value: object, needed: str) -> None:
        super().__init__(f"{name}: {value!r} cannot be used: it takes {needed}")
        self.name = name


@dataclass(frozen=True, slots=True)
class InspectOptions:
    """How an image is looked over; None is what its header or its pixels say.

    `target` holds names and places, one a line; `time` the middle of the exposure as its user
    gives it; `saturation` in the image's unit; `cat_limit` the faintest magnitude of the catalogue.
    """

    target: str
    time: str | None
    gain: float | None
    saturation: float | None
    band: str | None
    mask_cosmics: bool
    cat_name: str | None
    cat_limit: float
    template: str | None
    target_pix: int  # side of what is cut out around the first target


@dataclass(frozen=True, slots=True)
class ApertureOptions:
    """How light is measured: radii in FWHM, the first aperture in pixels."""

    initial_aper_pix: float
    rel_aper: float
    rel_bg1: float
    rel_bg2: float
    fwhm_override_pix: float | None
    optimal_extraction: bool
    centroid_targets: bool


@dataclass(frozen=True, slots=True)
class DetectOptions:
    """How sources are found: signal to noise, smoothing and least area in pixels."""

    sn: float
    selection_sn: float  # of what the catalogue is matched with
    initial_r0_pix: float
    min_pixels: int
    mesh_pix: int | None
    prefilter: bool


@dataclass(frozen=True, slots=True)
class PlaceOptions:
    """How an image is placed on the sky; angles in degrees, scales in arcsec a pixel."""

    refine: bool
    order: int
    is_blind: bool
    centre: str | None
    radius_deg: float
    scale_low: float
    scale_high: float


@dataclass(frozen=True, slots=True)
class LightOptions:
    """How the zero point is fitted, and to which stars."""

    band: str | None
    cat_name: str | None
    cat_limit: float | None
    mag_lower: float | None
    mag_upper: float | None
    filter_blends: bool
    match_arcsec: float | None
    spatial_order: int
    background_order: int | None
    use_colour: bool
    colour_term: float | None
    has_nonlinearity: bool


@dataclass(frozen=True, slots=True)
class PhotometryOptions:
    """Everything the photometry of an image takes."""

    gain: float
    detect: DetectOptions
    apertures: ApertureOptions
    place: PlaceOptions
    light: LightOptions
    cutout_half_pix: int
    diagnose_color: bool
    inspect_bg: bool


@dataclass(frozen=True, slots=True)
class StackOptions:
    """How images become one."""

    filenames: tuple[str, ...]
    method: Literal["sum", "clipped_mean", "median"]
    subtract_bg: bool
    mask_cosmics: bool


def inspect_options(config: Config) -> InspectOptions:
    """Return what a configuration asks of `inspect`.

    Raises
    ------
    BadOptionError
        Where a value is not what its name takes.
    """
    return InspectOptions(
        target=_targets(config),
        time=_moment(config),
        gain=_number(config, "gain", low=0, is_open=True),
        saturation=_number(config, "saturation", low=0, is_open=True),
        band=_text(config, "filter"),
        mask_cosmics=_flag(config, "mask_cosmics", usual=True),
        cat_name=_text(config, "cat_name"),
        cat_limit=_sure(config, "cat_limit", 20.0),
        template=_text(config, "template"),
        target_pix=int(_sure(config, "sub_size", AFTER_INSPECT["sub_size"], low=16, high=100_000)),
    )


def photometry_options(config: Config) -> PhotometryOptions:
    """Return what a configuration asks of `photometry`.

    What `inspect` would have put there falls back on less where it never ran: no refinement of
    the place, one zero point for all of the image.

    Raises
    ------
    BadOptionError
        Where a value is not what its name takes.
    """
    _moment(config)  # which the image is needed to use
    _targets(config)
    return PhotometryOptions(
        gain=_sure(config, "gain", 1.0, low=0, is_open=True),
        detect=_detect(config),
        apertures=_apertures(config),
        place=_place(config),
        light=_light(config),
        cutout_half_pix=int(_sure(config, "cutout_size", 30, low=3, high=500)),
        diagnose_color=_flag(config, "diagnose_color", usual=False),
        inspect_bg=_flag(config, "inspect_bg", usual=False),
    )


def stack_options(config: Config) -> StackOptions:
    """Return what a configuration asks of `stack`.

    Raises
    ------
    BadOptionError
        Where a value is not what its name takes.
    """
    names = config.get("stack_filenames") or ()
    if isinstance(names, str):
        names = [line.strip() for line in names.splitlines() if line.strip()]
    if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        raise BadOptionError("stack_filenames", names, "a list of file names")
    method = _text(config, "stack_method") or "sum"
    if method not in METHODS:
        raise BadOptionError("stack_method", method, f"one of {', '.join(METHODS)}")
    return StackOptions(
        filenames=tuple(names),
        method=method,  # type: ignore[arg-type]
        subtract_bg=_flag(config, "stack_subtract_bg", usual=True),
        mask_cosmics=_flag(config, "stack_mask_cosmics", usual=False),
    )


def is_timed(config: Config) -> bool:
    """Tell whether the lines of logs are to say when they were written."""
    return _flag(config, "timing", usual=False)


def _detect(config: Config) -> DetectOptions:
    return DetectOptions(
        sn=_sure(config, "sn", 5.0, low=0, is_open=True, high=1000),
        selection_sn=_sure(config, "sn", 3.0, low=0, is_open=True, high=1000),
        initial_r0_pix=_sure(config, "initial_r0", 0.0, low=0, high=50),
        min_pixels=int(_sure(config, "minarea", 3, low=1, high=10_000)),
        mesh_pix=_whole(config, "bg_size", low=8, high=100_000),
        prefilter=_flag(config, "prefilter_detections", usual=True),
    )


def _apertures(config: Config) -> ApertureOptions:
    inner, outer = _sure(config, "rel_bg1", 5.0, low=0), _sure(config, "rel_bg2", 7.0, low=0)
    if outer <= inner:
        raise BadOptionError("rel_bg2", outer, f"more than rel_bg1, which is {inner:g}")
    return ApertureOptions(
        initial_aper_pix=_sure(config, "initial_aper", 3.0, low=0, is_open=True, high=200),
        rel_aper=_sure(config, "rel_aper", 1.0, low=0, is_open=True, high=50),
        rel_bg1=inner,
        rel_bg2=outer,
        fwhm_override_pix=_number(config, "fwhm_override", low=0, is_open=True, high=200),
        optimal_extraction=_flag(config, "optimal_extraction", usual=False),
        centroid_targets=_flag(config, "centroid_targets", usual=False),
    )


def _place(config: Config) -> PlaceOptions:
    low = _sure(config, "blind_match_ps_lo", 0.2, low=0, is_open=True)
    high = _sure(config, "blind_match_ps_up", 4.0, low=0, is_open=True)
    if high < low:
        raise BadOptionError("blind_match_ps_up", high, f"at least blind_match_ps_lo, {low:g}")
    return PlaceOptions(
        refine=_flag(config, "refine_wcs", usual=False),
        order=int(_sure(config, "refine_order", 3, low=1, high=HIGHEST_DISTORTION)),
        is_blind=_flag(config, "blind_match_wcs", usual=False),
        centre=_text(config, "blind_match_center"),
        radius_deg=_sure(config, "blind_match_sr0", 2.0, low=0, is_open=True, high=180),
        scale_low=low,
        scale_high=high,
    )


def _light(config: Config) -> LightOptions:
    lower, upper = _number(config, "cat_mag_lower"), _number(config, "cat_mag_upper")
    if lower is not None and upper is not None and upper <= lower:
        raise BadOptionError("cat_mag_upper", upper, f"more than cat_mag_lower, which is {lower:g}")
    return LightOptions(
        band=_text(config, "filter"),
        cat_name=_text(config, "cat_name"),
        cat_limit=_number(config, "cat_limit"),
        mag_lower=lower,
        mag_upper=upper,
        filter_blends=_flag(config, "filter_blends", usual=True),
        match_arcsec=_number(config, "sr_override", low=0, is_open=True, high=3600),
        spatial_order=int(_sure(config, "spatial_order", 0, low=0, high=HIGHEST_ORDER)),
        background_order=_whole(config, "bg_order", low=0, high=HIGHEST_ORDER),
        use_colour=_flag(config, "use_color", usual=True),
        colour_term=_number(config, "force_color_term"),
        has_nonlinearity=_flag(config, "nonlin", usual=False),
    )


def _text(config: Config, name: str) -> str | None:
    value = config.get(name)
    if value is None or isinstance(value, bool):
        return None
    if not isinstance(value, str | int | float):
        raise BadOptionError(name, value, "a text")
    text = str(value).strip()
    return text or None


def _targets(config: Config) -> str:
    """Return the lines of targets, of which every place is one on the sky."""
    text = _text(config, "target") or ""
    try:
        parse_targets(text)
    except BadTargetError as error:
        why = str(error).removeprefix("target: ")
        raise BadOptionError("target", text[:60], f"names and places on the sky: {why}") from error
    return text


def _moment(config: Config) -> str | None:
    text = _text(config, "time")
    if text is not None and moment_of(text) is None:
        raise BadOptionError("time", text, "a time such as 2026-11-20 03:04:05, in UTC")
    return text


def moment_of(text: str) -> datetime | None:
    """Return a time as people write it; None where it is none.

    Parameters
    ----------
    text : str
        ISO 8601, with or without its ``T``; UTC where it names no offset.
    """
    moment = parse_moment(text.strip().replace(" ", "T", 1))
    return None if moment is None else moment.when.astimezone(UTC)


def _flag(config: Config, name: str, *, usual: bool) -> bool:
    value = config.get(name)
    if value is None or isinstance(value, bool):
        return usual if value is None else value
    text = str(value).strip().lower()
    if text in _TRUE or text in _FALSE or not text:
        return text in _TRUE if text else usual
    raise BadOptionError(name, value, "true or false")


def _number(
    config: Config,
    name: str,
    *,
    low: float | None = None,
    high: float | None = None,
    is_open: bool = False,
) -> float | None:
    """Return a number, None where there is none; `is_open` shuts out the lowest itself."""
    value = config.get(name)
    if value is None or (isinstance(value, str) and value.strip().lower() in _NONE):
        return None
    needed = _needed(low, high, is_open)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise BadOptionError(name, value, needed)
    try:
        number = float(value)
    except ValueError as error:
        raise BadOptionError(name, value, needed) from error
    is_low = low is not None and (number < low or (is_open and number == low))
    if not np.isfinite(number) or is_low or (high is not None and number > high):
        raise BadOptionError(name, value, needed)
    return number


def _needed(low: float | None, high: float | None, is_open: bool) -> str:
    above = "" if low is None else f" {'above' if is_open else 'of at least'} {low:g}"
    below = "" if high is None else f"{' and' if above else ''} of at most {high:g}"
    return f"a number{above}{below}"


def _sure(
    config: Config,
    name: str,
    usual: float,
    *,
    low: float | None = None,
    high: float | None = None,
    is_open: bool = False,
) -> float:
    value = _number(config, name, low=low, high=high, is_open=is_open)
    return usual if value is None else value


def _whole(config: Config, name: str, *, low: float, high: float) -> int | None:
    value = _number(config, name, low=low, high=high)
    return None if value is None else int(value)
