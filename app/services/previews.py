"""Pictures of frames: thumbnails, whole pictures, zoomable tiles and single pixel values.

What was computed once lies in the cache folder and may be deleted at any time.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from app import paths
from app.errors import InvalidRequestError, NotFoundError, UnavailableError
from app.models import Frame
from app.services import ingest
from reduction import fitsio, npyfile, preview, readout
from reduction.errors import ReductionError
from reduction.flags import PixelFlag
from reduction.frameinfo import FrameInfo, FrameKind
from reduction.headers.extensions import name_of
from reduction.image import FloatPlane

PLANES: Final = ("SCI", "VAR", "DQ")
THUMB_WIDTH: Final = 160
MAX_WIDTH: Final = 20_000  # pixels; as wide as the widest frame that is taken
CACHE_BYTES: Final = 4 << 30  # some thirty frames of 4096 x 4096, all planes

Plane = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Look:
    """How a plane is shown; without limits, those its stretch chooses."""

    stretch: str = "zscale"
    cmap: str = "gray"
    limits: preview.DisplayLimits | None = None


@dataclass(frozen=True, slots=True)
class Zoomable:
    """What a viewer must know of a plane: its size, its zoom levels and good limits."""

    plane: str
    nx: int
    ny: int
    levels: int
    planes: tuple[str, ...]
    limits: preview.DisplayLimits


@dataclass(frozen=True, slots=True)
class PixelValue:
    """One pixel, zero-based, in every plane the frame has; NaN is None."""

    x: int
    y: int
    unit: str
    sci: float | None
    var: float | None
    dq: int | None
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Mapped:
    """A plane on disk and what makes physical values of what is stored."""

    values: Plane
    offset: float = 0.0

    def at(self, x: int, y: int) -> float | None:
        number = float(self.values[y, x]) + self.offset
        return number if np.isfinite(number) else None


def picture(frame: Frame, *, stretch: str, cmap: str, width: str) -> bytes:
    """Return a frame as a PNG no wider than asked; width 0 is full size."""
    pixels = _width(width)
    _check_look(stretch, cmap)
    with _reading(frame) as file:
        data = _read_plane(frame, file, "SCI")
    return preview.render(data, stretch=stretch, cmap=cmap, width=pixels)


def thumbnail(frame: Frame) -> Path:
    """Return the small picture of a frame, made at the first asking."""
    if frame.thumb and (made := paths.current().locate(frame.thumb)).is_file():
        return made
    with _reading(frame) as file:
        cached = _cache() / "thumbs" / f"{_key(frame, file)}.png"
        if not cached.is_file():
            _write(cached, preview.thumbnail(_read_plane(frame, file, "SCI"), width=THUMB_WIDTH))
    return cached


def zoomable(frame: Frame, *, plane: str = "SCI", stretch: str = "zscale") -> Zoomable:
    """Make the zoom levels of a plane ready and tell what a viewer needs to know."""
    _check_look(stretch, "gray")
    with _reading(frame) as file:
        folder = _pyramid(frame, file, plane)
        planes = PLANES if _product_hdus(file) else ("SCI",)
    levels = sorted(folder.glob("*.npy"))
    ny, nx = npyfile.mapped(folder / "0.npy").shape
    # The level of about a megapixel settles the limits as well as the whole plane would.
    coarse = npyfile.mapped(folder / f"{min(len(levels) - 1, max(0, _halvings(nx, ny) - 2))}.npy")
    limits = preview.display_limits(coarse.astype(np.float32), stretch)
    return Zoomable(plane, nx, ny, len(levels), planes, limits)


def tile(frame: Frame, plane: str, at: tuple[int, int, int], look: Look) -> bytes:
    """Return one tile as PNG; `at` is level, column and row, counted from the bottom left."""
    level, column, row = at
    _check_look(look.stretch, look.cmap)
    with _reading(frame) as file:
        folder = _pyramid(frame, file, plane)
    values = _cut(folder / f"{level}.npy", column, row)
    if plane == "DQ":
        return preview.encode(preview.flag_indices(values), preview.flag_palette())
    limits = look.limits or zoomable(frame, plane=plane, stretch=look.stretch).limits
    steps = preview.stretched(values, look.stretch, limits)
    return preview.encode(steps, preview.palette(look.cmap))


def pixel(frame: Frame, x: int, y: int) -> PixelValue:
    """Return what lies at a zero-based pixel of a frame."""
    with _reading(frame) as file:
        planes = _mapped_planes(frame, file)
        ny, nx = planes["SCI"].values.shape
        if not (0 <= x < nx and 0 <= y < ny):
            raise InvalidRequestError(f"the frame has {nx} x {ny} pixels; {x}, {y} is outside")
        found = {name: plane.at(x, y) for name, plane in planes.items()}
    flags = int(found["DQ"] or 0) if "DQ" in found else None
    return PixelValue(
        x,
        y,
        frame.unit,
        sci=found["SCI"],
        var=found.get("VAR"),
        dq=flags,
        flags=tuple(flag.name or "" for flag in PixelFlag if flags and flags & flag),
    )


def _width(text: str) -> int:
    try:
        width = int(text)
    except ValueError:
        raise InvalidRequestError(width="Invalid numeric value") from None
    if not 0 <= width <= MAX_WIDTH:
        raise InvalidRequestError(width=f"must be from 0 (full size) to {MAX_WIDTH}")
    return width


def _check_look(stretch: str, cmap: str) -> None:
    if stretch not in preview.STRETCHES:
        raise InvalidRequestError(stretch=f"must be one of {', '.join(preview.STRETCHES)}")
    try:
        preview.palette(cmap)
    except ValueError as error:
        raise InvalidRequestError(cmap=str(error)) from error


@contextmanager
def _reading(frame: Frame) -> Iterator[Path]:
    """Give the frame's file, and word what may be wrong with it."""
    file = paths.current().locate(frame.path)
    try:
        yield file
    except FileNotFoundError as error:
        raise NotFoundError(f"The file {frame.path} is not there at the moment.") from error
    except (ReductionError, ValueError) as error:
        raise InvalidRequestError(
            f"The pixels of {frame.file_name} cannot be shown: {error}"
        ) from error
    except OSError as error:
        raise UnavailableError(f"{frame.path} cannot be read: {error.strerror}.") from error


def _product_hdus(file: Path) -> dict[str, int]:
    """Return where SCI, VAR and DQ are in one of our products; nothing of any other file."""
    hdus = fitsio.read_headers(file).hdus
    named = {name_of(hdu.cards).upper(): i for i, hdu in enumerate(hdus)}
    return {plane: named[plane] for plane in PLANES} if set(PLANES) <= named.keys() else {}


def _read_plane(frame: Frame, file: Path, plane: str) -> Plane:
    """Return a plane in memory: float32, or uint16 for DQ."""
    hdus = _product_hdus(file)
    if hdus:
        if plane not in hdus:
            raise InvalidRequestError(plane=f"must be one of {', '.join(PLANES)}")
        return _product_plane(frame, file, hdus[plane], np.uint16 if plane == "DQ" else np.float32)
    if plane != "SCI":
        raise InvalidRequestError(plane="a raw frame has no variance and no flags yet")
    return _assembled(frame, file)


def _product_plane(frame: Frame, file: Path, hdu: int, dtype: type[np.generic]) -> Plane:
    exposure = fitsio.open_exposure(file, _info_of(frame, hdu))
    stored, offset = exposure.planes[hdu], exposure.offset.get(hdu, 0.0)
    if dtype is np.uint16:
        return (stored.astype(np.int32) + int(offset)).astype(np.uint16)
    return stored.astype(np.float32) + np.float32(offset)


def _assembled(frame: Frame, file: Path) -> FloatPlane:
    """Return a raw frame trimmed, its amplifiers put together, in ADU."""
    info = ingest.frame_info(frame)
    exposure = fitsio.open_exposure(file, info)
    whole = np.full((info.ny, info.nx), np.nan, dtype=np.float32)
    for amplifier in readout.amplifiers(info):
        rows, place = readout.data_rows(exposure, amplifier), amplifier.target
        part = whole[place.y0 : place.y1, place.x0 : place.x1]
        # Once for a frame: as fast as kernels, which would only grow the process that serves.
        np.copyto(part, rows.stored, casting="unsafe")
        part += np.float32(rows.offset)
    return whole


def _mapped_planes(frame: Frame, file: Path) -> dict[str, _Mapped]:
    """Return every plane so that one pixel of it is cheap."""
    if hdus := _product_hdus(file):
        exposure = fitsio.open_exposure(file, _info_of(frame, *hdus.values()))
        return {
            plane: _Mapped(exposure.planes[hdu], exposure.offset.get(hdu, 0.0))
            for plane, hdu in hdus.items()
        }
    return {"SCI": _Mapped(npyfile.mapped(_pyramid(frame, file, "SCI") / "0.npy"))}


def _info_of(frame: Frame, *hdus: int) -> FrameInfo:
    """Return just enough for the planes of a product to be opened as they are stored."""
    return FrameInfo(writer="", kind=FrameKind.UNKNOWN, nx=frame.nx, ny=frame.ny, hdus=hdus)


def _pyramid(frame: Frame, file: Path, plane: str) -> Path:
    """Return the folder of a plane's zoom levels, 0.npy the full one; made at the first asking."""
    if plane not in PLANES:
        raise InvalidRequestError(plane=f"must be one of {', '.join(PLANES)}")
    folder = _cache() / "zoom" / f"{_key(frame, file)}-{plane}"
    if folder.is_dir():
        os.utime(folder)  # the cache forgets what was looked at longest ago
        return folder
    values = _read_plane(frame, file, plane)
    folder.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(dir=folder.parent, prefix="building-"))
    try:
        _save_levels(building, values)
        building.rename(folder)
    except OSError:
        shutil.rmtree(building, ignore_errors=True)
        if not folder.is_dir():  # else another request was quicker
            raise
    _forget_oldest(folder.parent)
    return folder


def _save_levels(folder: Path, values: Plane) -> None:
    halve = preview.halved_flags if values.dtype == np.uint16 else preview.halved
    for level in range(_halvings(values.shape[1], values.shape[0]) + 1):
        if level:
            values = halve(values)
        np.save(folder / f"{level}.npy", values)


def _halvings(nx: int, ny: int) -> int:
    """Return how often a plane is halved until it fits one tile."""
    return max(0, int(np.ceil(np.log2(max(nx, ny) / preview.TILE))))


def _cut(level: Path, column: int, row: int) -> Plane:
    try:
        values = npyfile.mapped(level)
    except FileNotFoundError:
        raise NotFoundError("There is no such zoom level.") from None
    x, y = column * preview.TILE, row * preview.TILE
    cut = np.array(values[max(0, y) : y + preview.TILE, max(0, x) : x + preview.TILE])
    if cut.size == 0 or x < 0 or y < 0:
        raise NotFoundError("There is no such tile.")
    return cut


def _cache() -> Path:
    return paths.current().cache / "previews"


def _key(frame: Frame, file: Path) -> str:
    """Return a name that changes when the file does."""
    return f"{frame.id}-{file.stat().st_mtime_ns:x}"


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as stream:
        stream.write(content)
    Path(stream.name).replace(path)


def _forget_oldest(folder: Path) -> None:
    """Keep the zoom levels within their share of the disk."""
    kept = 0
    for old in sorted(folder.iterdir(), key=_looked_at, reverse=True):
        kept += sum(level.stat().st_size for level in old.glob("*.npy"))
        if kept > CACHE_BYTES:
            shutil.rmtree(old, ignore_errors=True)


def _looked_at(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except FileNotFoundError:  # another process has just forgotten it
        return 0.0
