"""Opening what a block is made of: raw frames that are still what was registered, and masters."""

import os
from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np
from sqlalchemy import select

from app.db import db
from app.errors import ConflictError, NotFoundError
from app.models import Block, Frame
from app.paths import Paths
from app.services import ingest
from app.services.block_members import shortcoming
from reduction import fitsio
from reduction.errors import BadFileError, ReductionError
from reduction.exposure import Exposure
from reduction.foreign import foreign_master
from reduction.frameinfo import FrameInfo
from reduction.image import FloatPlane, Image
from reduction.recipes import Calibrations, DarkFrame

_NOT_OURS: Final = "not_product"
_MASTERS_KEPT: Final = 6  # in the memory of a job: three for each of two settings


def open_raw(frame: Frame, paths: Paths, *, name: str = "") -> Exposure:
    """Open a raw frame's pixels, if they are still those that were registered.

    Raises
    ------
    BadFileError
        If the file is gone, has changed, or cannot be read; the message says which.
    """
    try:
        path = paths.locate(frame.path)
        _check_size(frame, path)
        info = ingest.frame_info(frame)
        exposure = fitsio.open_exposure(path, info, sha256=True)
    except (FileNotFoundError, NotFoundError) as error:
        raise BadFileError("missing", f"it is no longer at {frame.path}") from error
    except OSError as error:
        raise BadFileError("unreadable", f"it cannot be read: {error.strerror}") from error
    if frame.content_sha256 and frame.content_sha256 != exposure.sha256:
        raise BadFileError("changed", "its content is not what it was when it was last read")
    return replace(exposure, name=name or frame.file_name)


def read_ahead(frame: Frame, paths: Paths) -> None:
    """Ask the system for a raw frame's bytes before they are wanted; it need not follow."""
    if not hasattr(os, "posix_fadvise"):
        return
    with suppress(OSError, NotFoundError):
        descriptor = os.open(paths.locate(frame.path), os.O_RDONLY)
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_WILLNEED)
        finally:
            os.close(descriptor)


def _check_size(frame: Frame, path: Path) -> None:
    size = path.stat().st_size
    if frame.size and size != frame.size:
        raise BadFileError(
            "changed", f"it has {size} bytes, and {frame.size} when it was registered: scan again"
        )


@dataclass(slots=True)
class Opened:
    """The members of a block: those whose pixels are at hand, and why the others' are not."""

    exposures: dict[int, Exposure] = field(default_factory=dict)  # by frame id
    refused: dict[int, str] = field(default_factory=dict)

    def named(self, names: Iterable[str]) -> list[int]:
        """Return the ids of the frames of these names, in the order they were opened in."""
        wanted = set(names)
        return [frame_id for frame_id, e in self.exposures.items() if e.name in wanted]


def open_members(members: Sequence[Frame], paths: Paths) -> Opened:
    """Open every member that will do; names are unique afterwards, as results go by them."""
    common = {name for name, n in Counter(f.file_name for f in members).items() if n > 1}
    opened = Opened()
    for frame in members:
        name = f"{frame.path}[{frame.part}]" if frame.file_name in common else frame.file_name
        try:
            if reason := shortcoming(frame):
                opened.refused[frame.id] = reason
            else:
                opened.exposures[frame.id] = open_raw(frame, paths, name=name)
        except ReductionError as error:
            opened.refused[frame.id] = str(error)
    return opened


class MasterShelf:
    """Masters as the recipes take them, read once for the frames of a job that share them."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._kept: OrderedDict[tuple[int, str], Image] = OrderedDict()

    def calibrations(self, masters: Mapping[str, Frame]) -> Calibrations:
        """Return the pixels of masters by role.

        Raises
        ------
        ConflictError
            If one of them is no longer there or does not hold; the message says what to do.
        """
        dark = masters.get("dark")
        bias = masters.get("bias")
        return Calibrations(
            bias=self._image(bias),
            dark=self._dark(dark) if dark is not None else None,
            flat=self._image(masters.get("flat")),
            bias_frames=bias.ncombine if bias is not None else None,
        )

    def _dark(self, frame: Frame) -> DarkFrame | None:
        image = self._image(frame)
        if image is None or frame.exptime_s is None:
            return None
        return DarkFrame(image, frame.exptime_s, frame.temp_c, "bias" in frame.steps_done)

    def _image(self, frame: Frame | None) -> Image | None:
        if frame is None:
            return None
        key = frame.id, frame.content_sha256  # one made anew meanwhile is another
        if key not in self._kept:
            self._kept[key] = self._read(frame)
            if len(self._kept) > _MASTERS_KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]

    def _read(self, frame: Frame) -> Image:
        try:
            return self._read_ours_or_theirs(frame)
        except (ReductionError, NotFoundError, OSError) as error:
            raise ConflictError(
                f"the {frame.kind} master {frame.path} cannot be read ({error}): make it again, "
                "or set it invalid so that another is used"
            ) from error

    def _read_ours_or_theirs(self, frame: Frame) -> Image:
        path = self._paths.locate(frame.path)
        try:
            return fitsio.read_product(path)[0]
        except BadFileError as error:
            if error.code != _NOT_OURS:
                raise
        info = ingest.frame_info(frame)
        exposure = fitsio.open_exposure(path, info)
        return foreign_master(exposure, mask=self._mask(frame, info))

    def _mask(self, frame: Frame, info: FrameInfo) -> FloatPlane | None:
        """Return the mask a registered master came with."""
        of_block = select(Block.mask_path).where(Block.master_id == frame.id, Block.mask_path != "")
        relative = db.session.scalar(of_block.limit(1))
        if relative is None:
            return None
        bare = replace(info, amplifiers=(), hdus=(0,))
        plane = fitsio.open_exposure(self._paths.locate(relative), bare).planes[0]
        return np.asarray(plane, dtype=np.float32)
