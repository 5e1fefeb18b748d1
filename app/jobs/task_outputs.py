"""What the steps leave in a task's folder: names, by step, and writing them whole or not at all."""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from app.models import TaskStep
from reduction.fitswrite import Hdu, write_hdus
from reduction.wholefiles import stage

# What a step makes besides its log. Custom masks and templates are inputs, and no step's own.
MADE: Final[Mapping[TaskStep, tuple[str, ...]]] = {
    TaskStep.STACK: ("image.fits",),
    TaskStep.INSPECT: ("mask.fits", "image_target.fits"),
    TaskStep.PHOTOMETRY: (
        *("objects.png", "fwhm.png", "fwhm_mag.png", "prefilter.png", "segmentation.fits"),
        *("filtered.fits", "image_bg.fits", "image_rms.fits", "photometry.png"),
        *("photometry_unmasked.png", "photometry_zeropoint.png", "photometry_model.png"),
        *("photometry_residuals.png", "astrometry_dist.png"),
        *("objects.parquet", "objects.vot", "cat.parquet", "limit_hist.png", "limit_sn.png"),
        *("target.vot", "target.cutout", "targets", "image.wcs", "color_term.png"),
        *("photometry_color.png", "image_bg.png"),
    ),
    TaskStep.SIMPLE_TRANSIENTS: (
        *("candidates_simple", "candidates_simple.vot", "candidates_simple.reg"),
    ),
    TaskStep.SUBTRACTION: (
        *("sub_image.fits", "sub_mask.fits", "sub_template.fits", "sub_template_mask.fits"),
        *("sub_diff.fits", "sub_sdiff.fits", "sub_conv.fits", "sub_ediff.fits", "sub_scorr.fits"),
        *("sub_fpsf.fits", "sub_fpsferr.fits", "sub_template_fwhm_mag.png", "sub_target.vot"),
        *("sub_target.cutout", "candidates", "candidates.vot", "candidates.reg"),
    ),
}
LOGS: Final[Mapping[TaskStep, str]] = {
    TaskStep.STACK: "stack.log",
    TaskStep.INSPECT: "inspect.log",
    TaskStep.PHOTOMETRY: "photometry.log",
    TaskStep.SIMPLE_TRANSIENTS: "transients_simple.log",
    TaskStep.SUBTRACTION: "subtraction.log",
    TaskStep.CLEANUP: "cleanup.log",
}
# Steps whose products rest on those of another, itself included.
_FOLLOWING: Final[Mapping[TaskStep, tuple[TaskStep, ...]]] = {
    TaskStep.STACK: (TaskStep.INSPECT, TaskStep.PHOTOMETRY, TaskStep.SIMPLE_TRANSIENTS,
                     TaskStep.SUBTRACTION),
    TaskStep.INSPECT: (TaskStep.INSPECT, TaskStep.PHOTOMETRY, TaskStep.SIMPLE_TRANSIENTS,
                       TaskStep.SUBTRACTION),
    TaskStep.PHOTOMETRY: (TaskStep.PHOTOMETRY, TaskStep.SIMPLE_TRANSIENTS, TaskStep.SUBTRACTION),
    TaskStep.SIMPLE_TRANSIENTS: (TaskStep.SIMPLE_TRANSIENTS,),
    TaskStep.SUBTRACTION: (TaskStep.SUBTRACTION,),
}  # fmt: skip
KEPT: Final = frozenset({"image.fits", "image.orig.fits", "fringe_model.fits"})


SCRATCH: Final = ".stack-"  # how the folder begins in which images wait to be stacked


def clear(folder: Path, step: TaskStep) -> None:
    """Remove what a step and those that rest on it made before."""
    _sweep(folder)
    for following in _FOLLOWING.get(step, ()):
        for name in (*MADE[following], LOGS[following]):
            _remove(folder / name)


def clear_all(folder: Path) -> int:
    """Remove everything but the image, as it is and as it came; return how many entries went."""
    _sweep(folder)
    gone = [path for path in folder.iterdir() if not _is_kept(path.name)]
    for path in gone:
        _remove(path)
    return len(gone)


def _sweep(folder: Path) -> None:
    """Remove what steps left half done that were killed; one at a time works in a folder."""
    for path in (*folder.glob(f"{SCRATCH}*"), *folder.rglob(".*.part")):
        _remove(path)


def _is_kept(name: str) -> bool:
    return name in KEPT or name.startswith(".")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def put_bytes(path: Path, content: bytes) -> None:
    """Write a file so that it appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = stage(path, [memoryview(content)], size=len(content))
    try:
        staged.put()
    except BaseException:
        staged.discard()
        raise


def put_all(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write several files."""
    for name, content in files.items():
        put_bytes(folder / name, content)


def put_fits(path: Path, hdus: Sequence[Hdu]) -> None:
    """Write a FITS file so that it appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_hdus(path, hdus)


def names_of(steps: Iterable[TaskStep]) -> frozenset[str]:
    """Return what some steps may leave in a folder, their logs included."""
    return frozenset(name for step in steps for name in (*MADE.get(step, ()), LOGS[step]))
