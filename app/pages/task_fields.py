"""What may be set before a step of a task runs, as fields of a form and as its configuration."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from app.api.parsing import Fields
from app.errors import InvalidRequestError
from app.models import TaskStep
from app.services.texts import checked
from reduction.oneimage import options

_LONGEST: Final = 4000  # characters of a field


class Kind(StrEnum):
    """How a field is typed and what is made of it."""

    TEXT = "text"
    LINES = "lines"
    NUMBER = "number"
    WHOLE = "whole"
    FLAG = "flag"
    CHOICE = "choice"


@dataclass(frozen=True, slots=True)
class Field:
    """One value of a task's configuration; an empty field is a value that is not set.

    `default` is what the step does then, None where it finds out by itself; `auto` says how. What
    the header says of a prefilled one is sent, for the step would not look there.
    """

    name: str
    label: str
    kind: Kind = Kind.NUMBER
    default: Any = None
    unit: str = ""
    auto: str = ""
    help: str = ""
    choices: Sequence[str] = ()
    is_prefilled: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """Fields of a step that belong together; what is seldom changed is folded away."""

    title: str
    fields: Sequence[Field]
    is_folded: bool = False


_TARGET: Final = Group(
    "Targets",
    (
        Field(
            "target",
            "Targets, one a line",
            Kind.LINES,
            help="A name, coordinates (12 34 56.7 -12 34 56, or degrees) or x=123 y=456.",
        ),
    ),
)
_OF_TARGETS: Final = ("targets", "target_ra", "target_dec")  # what a step found of them
_BAND: Final = Field("filter", "Filter", Kind.CHOICE, auto="from the header")
_CATALOGUE: Final = Field("cat_name", "Catalogue", Kind.CHOICE, auto="by filter and place")
_FAINTEST: Final = Field("cat_limit", "Catalogue down to", default=20, unit="mag")

_SEARCH: Final = "blind_match_wcs"
_POINTING: Final = (
    Field("blind_match_center", "Position", Kind.TEXT, auto="from the header", unit="RA Dec"),
    Field("blind_match_sr0", "Within", default=2, unit="°"),
    Field("blind_match_ps_lo", "Pixel scale from", default=0.2, unit="″"),
    Field("blind_match_ps_up", "to", default=4, unit="″"),
    Field(_SEARCH, "Search there, whatever the header says", Kind.FLAG, default=False),
)

_STACK: Final = (
    Group(
        "Stack",
        (
            Field(
                "stack_filenames",
                "Files, one a line",
                Kind.LINES,
                help="Paths below the data root, RAW/… included; the first one is the grid.",
            ),
            Field(
                "stack_method",
                "Method",
                Kind.CHOICE,
                default="sum",
                choices=("sum", "clipped_mean", "median"),
            ),
            Field("stack_subtract_bg", "Subtract the background", Kind.FLAG, default=True),
            Field("stack_mask_cosmics", "Mask cosmic rays", Kind.FLAG, default=False),
        ),
    ),
)
_INSPECT: Final = (
    Group(
        "What the header was read as",
        (
            _BAND,
            Field("time", "Time, UTC", Kind.TEXT, auto="from the header"),
            Field("gain", "Gain", unit="e/ADU", auto="from the header, else 1"),
            Field(
                "saturation", "Saturation", unit="ADU", auto="from the pixels", is_prefilled=True
            ),
            Field("mask_cosmics", "Mask cosmic rays", Kind.FLAG, default=True),
        ),
    ),
    Group("Where it points, if the header is wrong", _POINTING),
    _TARGET,
    Group("Catalogue", (_CATALOGUE, _FAINTEST), is_folded=True),
)
ASTROMETRY: Final = Group(
    "Astrometry",
    (
        Field("refine_wcs", "Refine the header's solution", Kind.FLAG, default=True),
        Field("refine_order", "Order of the distortion", Kind.WHOLE, default=3),
        *_POINTING,
        Field("sr_override", "Match within", auto="half the FWHM", unit="″"),
    ),
    is_folded=True,
)
_PHOTOMETRY: Final = (
    Group(
        "Magnitudes",
        (
            _BAND,
            _CATALOGUE,
            _FAINTEST,
            Field("sn", "Least signal to noise", default=5),
            Field("spatial_order", "Zero point over the frame, order", Kind.WHOLE, default=2),
            Field("use_color", "Fit a colour term", Kind.FLAG, default=True),
        ),
    ),
    Group(
        "Apertures",
        (
            Field("rel_aper", "Aperture", default=1, unit="FWHM"),
            Field("rel_bg1", "Sky from", default=5, unit="FWHM"),
            Field("rel_bg2", "to", default=7, unit="FWHM"),
            Field("optimal_extraction", "Weighted by the profile", Kind.FLAG, default=False),
            Field("centroid_targets", "Centre again on the targets", Kind.FLAG, default=False),
            Field("cutout_size", "Half width of cutouts", Kind.WHOLE, default=30, unit="pixels"),
        ),
        is_folded=True,
    ),
    Group(
        "Detection",
        (
            Field("initial_aper", "First aperture", default=3, unit="pixels"),
            Field("initial_r0", "Smooth by", default=0, unit="pixels"),
            Field("minarea", "Least pixels", Kind.WHOLE, default=5),
            Field("bg_size", "Background mesh", Kind.WHOLE, auto="256, or half", unit="pixels"),
            Field("fwhm_override", "FWHM", auto="measured", unit="pixels"),
            Field("prefilter_detections", "Sort out by shape", Kind.FLAG, default=True),
        ),
        is_folded=True,
    ),
    ASTROMETRY,
    Group(
        "Calibration",
        (
            Field("cat_mag_lower", "Catalogue stars from", unit="mag", auto="all"),
            Field("cat_mag_upper", "to", unit="mag", auto="all"),
            Field("filter_blends", "Drop blended catalogue stars", Kind.FLAG, default=True),
            Field("bg_order", "Additive term, order", Kind.WHOLE, auto="none"),
            Field("force_color_term", "Colour term, fixed", auto="fitted"),
            Field("nonlin", "Fit a nonlinearity", Kind.FLAG, default=False),
            Field("diagnose_color", "Plot the colour term", Kind.FLAG, default=False),
            Field("inspect_bg", "Plot the background", Kind.FLAG, default=False),
            Field("timing", "Times in the log", Kind.FLAG, default=False),
        ),
        is_folded=True,
    ),
)
GROUPS: Final[Mapping[TaskStep, Sequence[Group]]] = {
    TaskStep.STACK: _STACK,
    TaskStep.INSPECT: _INSPECT,
    TaskStep.PHOTOMETRY: _PHOTOMETRY,
}


_READERS: Final[Mapping[TaskStep, Callable[[Mapping[str, Any]], object]]] = {
    TaskStep.STACK: options.stack_options,
    TaskStep.INSPECT: options.inspect_options,
    TaskStep.PHOTOMETRY: options.photometry_options,
}


def fields_of(step: TaskStep) -> list[Field]:
    """Return every field of a step."""
    return [field for group in GROUPS.get(step, ()) for field in group.fields]


def configured(
    config: Mapping[str, Any], step: TaskStep, sent: Mapping[str, str]
) -> dict[str, Any]:
    """Return a configuration with what a step's form says.

    What the form leaves empty is what it shows there: the usual value, or nothing set where the
    step finds out by itself.

    Raises
    ------
    InvalidRequestError
        With every field that cannot be read or used.
    """
    found, wrong = dict(config), {}
    for field in fields_of(step):
        try:
            value = _value(field, Fields(sent))
        except InvalidRequestError as error:
            wrong.update(error.fields)
            continue
        value = field.default if value is None else value
        if value is None:
            found.pop(field.name, None)
        else:
            found[field.name] = value
    if wrong:
        raise InvalidRequestError(**wrong)
    if any(_is_corrected(field, found, config) for field in _POINTING if field.name in found):
        found[_SEARCH] = True  # who corrects the place wants it used
    if found.get("target") != config.get("target"):
        _forget_targets(found)
    _check_usable(found, step)
    return found


def _is_corrected(field: Field, found: Mapping[str, Any], before: Mapping[str, Any]) -> bool:
    """Tell whether a hint for the search was typed anew."""
    return field.name != _SEARCH and found[field.name] != before.get(field.name, field.default)


def _forget_targets(config: dict[str, Any]) -> None:
    """Let the next step look up targets that were written anew, whichever it is."""
    for name in _OF_TARGETS:
        config.pop(name, None)


def _check_usable(config: Mapping[str, Any], step: TaskStep) -> None:
    try:
        _READERS[step](config)
    except options.BadOptionError as error:
        why = str(error).removeprefix(f"{error.name}: ")
        raise InvalidRequestError(**{error.name: why}) from error


def _value(field: Field, sent: Fields) -> Any:  # noqa: ANN401 - whatever the kind is
    if field.kind is Kind.FLAG:
        return bool(sent.flag(field.name))
    if field.kind is Kind.NUMBER:
        return sent.number(field.name)
    if field.kind is Kind.WHOLE:
        return sent.integer(field.name)
    is_lines = field.kind is Kind.LINES
    text = checked(field.name, sent.text(field.name) or "", _LONGEST, lines=is_lines)
    return _lines(field, text) or None


def _lines(field: Field, text: str) -> str | list[str]:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if field.name == "stack_filenames":
        return lines
    return "\n".join(lines) if field.kind is Kind.LINES else text
