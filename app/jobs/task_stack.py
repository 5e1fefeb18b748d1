"""The step of a task that makes its image of several others."""

import errno
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from app.errors import AppError, NotFoundError, UnavailableError
from app.jobs.task_image import read_picture
from app.jobs.task_log import StepLog
from app.jobs.task_outputs import SCRATCH, put_fits
from app.models import Task, User
from app.services import placing, settings, task_files, task_sources
from app.services.staging import MEGABYTE
from app.services.task_files import IMAGE
from reduction import fitsio
from reduction.errors import NotEnoughFramesError, ReductionError
from reduction.flags import PixelFlag
from reduction.headers.extensions import name_of
from reduction.headers.task_products import stacked_header
from reduction.image import FloatPlane
from reduction.oneimage.alignment import Laid, Seat, lay, resampled
from reduction.oneimage.files import plane_hdu
from reduction.oneimage.options import StackOptions, stack_options
from reduction.oneimage.picture import Picture, mask_of, with_noise
from reduction.oneimage.stacking import stacked
from reduction.photometry.detection import DetectionParams, detect
from reduction.wholefiles import reserve

Check = Callable[[], None]

_ORIGINAL: Final = "image.orig.fits"
_DATA: Final = "data/"  # how STDWeb's own paths begin
_MOST: Final = 500
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(frozen=True, slots=True)
class _One:
    """One of the images, ready to be laid onto the first."""

    picture: Picture
    plane: FloatPlane
    masked: npt.NDArray[np.bool_]
    seat: Seat


def stack(
    task: Task, folder: Path, config: Mapping[str, Any], log: StepLog, *, by: User, check: Check
) -> dict[str, Any]:
    """Make an image of several and put it into the task's folder; `check` may end it between."""
    options = stack_options(config)
    if not 1 <= len(options.filenames) <= _MOST:
        raise NotEnoughFramesError(
            found=len(options.filenames), needed=1,
            why=f"name 1 to {_MOST} images as stack_filenames",
        )  # fmt: skip
    paths = [_find(task, by, name) for name in options.filenames]
    log.say(f"{len(paths)} images, {options.method}")
    with _told_if_full(folder), tempfile.TemporaryDirectory(prefix=SCRATCH, dir=folder) as room:
        planes, infos = _laid_planes(paths, options, Path(room), log, check)
        data, counts = stacked(planes, options.method)
        shape = data.shape[0], data.shape[1]
        log.say(f"{np.count_nonzero(counts == 0) / counts.size:.2%} of the pixels have no value")
        cards = stacked_header(
            fitsio.read_image(paths[0], _hdu(paths[0])).cards,
            [path.name for path in paths],
            options.method,
            exptimes_s=[picture.info.exptime_s for picture in infos],
            middle=_middle(infos),
        )
        del planes
    with _told_if_full(folder):
        put_fits(folder / IMAGE, [plane_hdu(data.reshape(shape), cards)])
    (folder / _ORIGINAL).unlink(missing_ok=True)  # last: until then it is all there is of it
    return {}


@contextmanager
def _told_if_full(folder: Path) -> Iterator[None]:
    """Say which disk is full where one is."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise UnavailableError(
            f"The disk of {folder} became full while images were stacked: the image is as it was. "
            "Make room, or stack fewer images, and run the step again."
        ) from error


def _hdu(path: Path) -> int | None:
    """Return where the image of a product of ours is, None for all others."""
    named = [name_of(hdu.cards).upper() for hdu in fitsio.read_headers(path).hdus]
    return named.index("SCI") if "SCI" in named else None


def _find(task: Task, by: User, name: str) -> Path:
    """Return an image by its name in the task's folder, else below the data root or RAW.

    With the rights of whoever asked: a member of its group must not have the owner's files read.
    """
    ways: Sequence[Callable[[], Path]] = (
        lambda: task_files.locate(task, name),
        lambda: task_sources.take(task, by, name),
        lambda: task_sources.take(task, by, name.removeprefix(_DATA)),
    )
    for way in ways:
        with suppress(AppError):
            return way()
    raise NotFoundError(f"stack_filenames: {name}: there is no such file, or none you may see")


def _laid_planes(
    paths: Sequence[Path], options: StackOptions, room: Path, log: StepLog, check: Check
) -> tuple[list[FloatPlane], list[Picture]]:
    """Return all images on the pixels of the first, in files, and what is known of them."""
    first = _opened(paths[0], options)
    log.say(f"{paths[0].name}: its pixels are the grid")
    _check_room(room, len(paths) * first.plane.size * np.dtype(np.float32).itemsize)
    planes = [_kept(room, 0, np.where(first.masked, np.float32(np.nan), first.plane))]
    known = [first.picture]
    for number, path in enumerate(paths[1:], 1):
        check()
        one = _opened(path, options)
        laid = lay(first.seat, one.seat)
        (log.say if laid.n_stars else log.doubt)(f"{path.name}: {_told(laid)}")
        out = _kept(room, number, np.empty(first.picture.shape, np.float32))
        resampled(one.plane, one.masked, laid, first.picture.shape, out)
        planes.append(out)
        known.append(_bare(one.picture))
    return planes, known


def _told(laid: Laid) -> str:
    if not laid.n_stars:
        return "laid by its place on the sky alone, too few stars are in common"
    return f"laid by {laid.n_stars} stars, which scatter by {laid.scatter_pix:.3f} pixels"


def _kept(room: Path, number: int, plane: FloatPlane) -> FloatPlane:
    """Return a plane that lives in a file, so that many of them fit."""
    path = room / f"{number}"
    with path.open("xb") as file:
        file.truncate(plane.size * np.dtype(np.float32).itemsize)
        reserve(file.fileno(), plane.size * np.dtype(np.float32).itemsize)
    mapped: FloatPlane = np.memmap(path, np.float32, "r+", shape=plane.shape)
    mapped[...] = plane
    return mapped


def _check_room(room: Path, n_bytes: int) -> None:
    reserve_bytes = settings.snapshot().integer("disk.reserve_mb") * MEGABYTE
    placing.check_room(room, n_bytes, reserve_bytes)


def _bare(picture: Picture) -> Picture:
    """Return what is known of an image without its pixels."""
    empty = np.zeros((1, 1), np.float32)
    return Picture(empty, empty.astype(np.uint16), None, picture.unit, picture.info, picture.wcs)


def _opened(path: Path, options: StackOptions) -> _One:
    try:
        picture = read_picture(path)
        gain = picture.usual_gain
        mask = mask_of(
            picture,
            saturation=picture.info.saturation_adu or np.inf,
            gain=gain,
            has_cosmics=options.mask_cosmics,
        )
        mesh = picture.usual_mesh_pix
        image = with_noise(picture, mask, gain=gain, mesh_pix=mesh)
        detected = detect(image, DetectionParams(mesh_pix=mesh))
    except ReductionError as error:
        raise ReductionError(f"{path.name}: {error}") from error
    plane = picture.data - detected.background if options.subtract_bg else picture.data
    bad = np.uint16(PixelFlag.BAD | PixelFlag.NO_DATA | PixelFlag.COSMIC_RAY)
    seat = Seat(path.name, detected, picture.shape, picture.wcs)
    return _One(picture, plane, (mask & bad) != 0, seat)


def _middle(pictures: Sequence[Picture]) -> str | None:
    """Return the mean time of images, None where one has none."""
    times = [one.info.mid_utc or one.info.start_utc for one in pictures]
    known = [time.timestamp() for time in times if time is not None]
    if len(known) < len(times):
        return None
    when = datetime.fromtimestamp(sum(known) / len(known), UTC)
    return when.replace(tzinfo=None).isoformat(timespec="milliseconds")
