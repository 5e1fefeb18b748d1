"""How the steps of a task are shown: their fields, whether they ran, their logs and plots."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from app.models import Task, TaskStep
from app.pages.task_fields import ASTROMETRY, GROUPS, Field, Group
from app.services.task_files import Entry

LOG_TAIL_BYTES: Final = 128 << 10
_PLACE: Final = "image.wcs"  # written once an image is placed on the sky
_WARNING: Final = "Warning: "
_ERROR: Final = "Error: "
_BROKE: Final = (
    "The program broke there, which is no fault of the image's: the log of its job, in the queue, "
    "says where."
)

STATES: Final[Mapping[str, str]] = {
    "initial": "without an image",
    "uploaded": "uploaded",
    "imported": "from the archive",
    "duplicated": "duplicated",
    "running": "waits for its turn",
    "stacking": "stacking",
    "stacking_done": "stacked",
    "stacking_failed": "stacking failed",
    "inspect": "inspecting",
    "inspect_done": "inspected",
    "inspect_failed": "inspection failed",
    "photometry": "measuring",
    "photometry_done": "measured",
    "photometry_failed": "photometry failed",
    "cleanup": "cleaning up",
    "cleanup_done": "cleaned up",
    "cancelled": "cancelled",
    "failed": "failed",
}

# What the plots of a step show, in the order in which they are looked at.
PLOTS: Final[Mapping[TaskStep, Mapping[str, str]]] = {
    TaskStep.PHOTOMETRY: {
        "photometry.png": "Zero point of each star against its magnitude",
        "photometry_zeropoint.png": "Zero point over the image",
        "photometry_model.png": "Zero point as fitted, over the image",
        "photometry_residuals.png": "What the fit leaves, over the image",
        "astrometry_dist.png": "Distance of the matched stars",
        "objects.png": "Sources found",
        "fwhm.png": "Width of the sources over the image",
        "fwhm_mag.png": "Width of the sources against magnitude",
        "prefilter.png": "Sources sorted out by their shape",
        "limit_sn.png": "Signal to noise against magnitude",
        "limit_hist.png": "Magnitudes of the sources, and the limit",
        "photometry_unmasked.png": "Zero point, without the doubtful stars left out",
        "color_term.png": "Zero point against colour",
        "image_bg.png": "The background, and its noise",
    },
}


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture among a task's files; `version` changes when it does."""

    name: str
    version: int
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """What the parts of the page about steps are made of."""

    task: Task
    files: Mapping[str, Entry]
    folder: Path
    choices: Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class StepView:
    """One step as its card shows it."""

    name: str
    title: str
    verb: str
    about: str
    groups: Sequence[Group]
    state: str = ""
    look: str = ""
    log: str = ""
    hindrance: str = ""
    warnings: Sequence[str] = ()
    plots: Sequence[Picture] = ()
    is_open: bool = False


@dataclass(frozen=True, slots=True)
class _Words:
    title: str
    verb: str
    about: str
    state: str  # the first part of what its states are called
    log: str


_WORDS: Final[Mapping[TaskStep, _Words]] = {
    TaskStep.STACK: _Words("Stack", "Stack", "several images become one", "stacking", "stack.log"),
    TaskStep.INSPECT: _Words(
        "Inspect",
        "Inspect",
        "header, mask and targets are looked over",
        "inspect",
        "inspect.log",
    ),
    TaskStep.PHOTOMETRY: _Words(
        "Photometry",
        "Measure",
        "sources, place on the sky, zero point, magnitudes",
        "photometry",
        "photometry.log",
    ),
}


def views(look: Look) -> list[StepView]:
    """Return the steps a task can take, in their order."""
    has_image = "image.fits" in look.files
    stacks = not has_image or look.task.config.get("stack_filenames")
    steps = [step for step in _WORDS if step is not TaskStep.STACK or stacks]
    return [_view(look, step, has_image=has_image) for step in steps]


def _view(look: Look, step: TaskStep, *, has_image: bool) -> StepView:
    words = _WORDS[step]
    ran = words.log in look.files
    failed = look.task.state == f"{words.state}_failed"
    is_at_it = look.task.state == words.state
    log = "" if is_at_it else tail(look.folder / words.log)
    needs_image = step is not TaskStep.STACK
    return StepView(
        name=step.value,
        title=words.title,
        verb=f"{words.verb} again" if ran else words.verb,
        about=words.about,
        groups=[_with_choices(group, look.choices) for group in _groups(look, step)],
        state="failed" if failed else "running" if is_at_it else "done" if ran else "",
        look="bad" if failed else "state-running" if is_at_it else "good" if ran else "",
        log=log,
        warnings=_warnings(log),
        hindrance="There is no image yet." if needs_image and not has_image else "",
        plots=_plots(look, step),
        is_open=failed or step is _next(look, has_image=has_image),
    )


def _groups(look: Look, step: TaskStep) -> Sequence[Group]:
    """Return the fields of a step; how to find a place stands open where none was found."""
    if not is_lost(look):
        return GROUPS[step]
    return [
        replace(group, is_folded=False) if group is ASTROMETRY else group for group in GROUPS[step]
    ]


def is_lost(look: Look) -> bool:
    """Tell whether an image was measured and could not be placed on the sky."""
    return look.task.state == "photometry_failed" and _PLACE not in look.files


def _warnings(log: str) -> list[str]:
    """Return what a step doubted; its lines may begin with the time."""
    found = (line.partition(_WARNING) for line in log.splitlines())
    return [text for _, is_warning, text in found if is_warning]


def _next(look: Look, *, has_image: bool) -> TaskStep:
    """Return the step whose card is open: the one to take now, or the last one."""
    if not has_image:
        return TaskStep.STACK
    is_inspected = _WORDS[TaskStep.INSPECT].log in look.files
    is_fine = look.task.state != "inspect_failed"
    return TaskStep.PHOTOMETRY if is_inspected and is_fine else TaskStep.INSPECT


def _with_choices(group: Group, choices: Mapping[str, Sequence[str]]) -> Group:
    def filled(field: Field) -> Field:
        return replace(field, choices=choices[field.name]) if field.name in choices else field

    return replace(group, fields=[filled(field) for field in group.fields])


def _plots(look: Look, step: TaskStep) -> list[Picture]:
    known = PLOTS.get(step, {})
    return [
        Picture(name, version_of(look.files[name]), caption)
        for name, caption in known.items()
        if name in look.files
    ]


def version_of(entry: Entry) -> int:
    """Return a number that changes when a file does, for the addresses of pictures."""
    return int(entry.modified.timestamp() * 1000)


def running_log(look: Look) -> str:
    """Return the end of the log of the step that runs now."""
    words = next((w for w in _WORDS.values() if w.state == look.task.state), None)
    return tail(look.folder / words.log) if words else ""


def cause(task: Task, folder: Path) -> str:
    """Return why the last step of a task failed, as its log ends; empty where it did not."""
    if not task.state.endswith("failed"):
        return ""
    words = next((w for w in _WORDS.values() if task.state == f"{w.state}_failed"), None)
    log = tail(folder / words.log) if words else ""
    _, is_error, why = log.rpartition(_ERROR)
    return why.strip() if is_error else _BROKE


def trouble(look: Look) -> str:
    """Return which step failed, and why."""
    why = cause(look.task, look.folder)
    said = STATES.get(look.task.state, "A step failed").capitalize()
    return f"{said}{'.' if why == _BROKE else ':'} {why}" if why else ""


def tail(path: Path) -> str:
    """Return the end of a log, nothing where there is none."""
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, 2)
            stream.seek(max(0, size - LOG_TAIL_BYTES))
            return stream.read().decode("utf-8", "replace").replace("\0", "�")
    except FileNotFoundError:
        return ""


def results(config: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return what the steps found, in words; what they did not find is left out."""
    told = (
        ("Zero point", _zero_point(config), _of_zero_point(config)),
        ("Depth", _said(config, "mag_limit", "{:.2f} mag"), "of a point source"),
        ("Middle", _middle(config), "degrees, ICRS"),
        ("Field", _said(config, "field_sr", "{:.3f}°"), "from the middle to the corners"),
        ("Scale", _scale(config), ""),
        ("FWHM", _width(config), ""),
        ("Filter", str(config.get("filter") or ""), ""),
        ("Time", str(config.get("time") or ""), "UTC"),
        ("Gain", _said(config, "gain", "{:.4g} e a unit"), ""),
        ("Saturation", _said(config, "saturation", "{:.6g}"), ""),
    )
    return [{"label": label, "text": text, "note": note} for label, text, note in told if text]


def number(config: Mapping[str, Any], name: str) -> float | None:
    """Return a number of a configuration, which may hold anything under its name."""
    value = config.get(name)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _said(config: Mapping[str, Any], name: str, form: str) -> str:
    value = number(config, name)
    return "" if value is None else form.format(value)


def _zero_point(config: Mapping[str, Any]) -> str:
    error = number(config, "zp_err")
    said = _said(config, "zp", "{:.3f}")
    return f"{said} ± {error:.3f} mag" if said and error is not None else said


def _of_zero_point(config: Mapping[str, Any]) -> str:
    catalogue = config.get("cat_name")
    of = "of one count in the whole exposure, not a second"
    return f"{of}; by {catalogue}" if isinstance(catalogue, str) and catalogue else of


def _middle(config: Mapping[str, Any]) -> str:
    ra, dec = number(config, "field_ra"), number(config, "field_dec")
    return "" if ra is None or dec is None else f"{ra:.5f} {dec:+.5f}"


def _scale(config: Mapping[str, Any]) -> str:
    scale = number(config, "pixscale")  # degrees
    return "" if scale is None else f"{3600 * scale:.4f}″ a pixel"


def _width(config: Mapping[str, Any]) -> str:
    fwhm, scale = number(config, "fwhm"), number(config, "pixscale")
    if fwhm is None:
        return ""
    return f"{fwhm:.2f} pixels" + (f", {3600 * fwhm * scale:.2f}″" if scale is not None else "")
