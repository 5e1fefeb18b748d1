"""An amplifier's pixels as rows of the assembled frame, decoded band by band."""

import mmap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from reduction.camera import Amplifier, Section
from reduction.errors import BadFrameError, ShapeMismatchError
from reduction.exposure import Exposure, RawPlane
from reduction.frameinfo import FrameInfo
from reduction.image import FloatPlane

Decoding = tuple[int, int, bool, bool, int, float]  # of rows, as `decode_halves` takes it
_Layout = tuple[int, int, int, int, tuple[Section, ...]]
MAPPED_AROUND = 1 << 16  # bytes Linux maps at a fault, aligned, unless it is told otherwise


@dataclass(frozen=True, slots=True)
class RawRows:
    """Raw pixels of one amplifier, ``(ny, nx)``, turned the way they lie in the frame.

    Attributes
    ----------
    plane : array
        The HDU's pixels as they are stored, of any real dtype and byte order.
    section : Section
        The amplifier's pixels in `plane`.
    flip_x, flip_y : bool
        Whether they are mirrored on their way to the frame.
    offset : float
        What makes ADU of stored values.
    """

    plane: RawPlane
    section: Section
    flip_x: bool
    flip_y: bool
    offset: float

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.section.shape

    def read(self, y0: int, y1: int, out: FloatPlane) -> None:
        """Decode rows ``y0:y1`` of the frame into `out`, float32 ``(y1 - y0, nx)``, in ADU.

        Sixteen-bit numbers and floats take a compiled loop, whatever their byte order; other
        types go through numpy.
        """
        dtype = self.plane.dtype
        if self.is_of_halves or (dtype.kind == "f" and dtype.itemsize == 4):
            self._read_compiled(y0, y1, out)
            return
        np.copyto(out, self.stored[y0:y1], casting="unsafe")
        out += np.float32(self.offset)

    @property
    def stored(self) -> RawPlane:
        """The stored numbers, ``(ny, nx)``: a view of them as they lie in the frame."""
        box = self.section
        rows = self.plane[box.y0 : box.y1, box.x0 : box.x1]
        return rows[:: -1 if self.flip_y else 1, :: -1 if self.flip_x else 1]

    def _read_compiled(self, y0: int, y1: int, out: FloatPlane) -> None:
        # Imported here: who asks where amplifiers lie, or for a picture, does without kernels.
        from reduction.kernels.rows import decode_halves, decode_words

        rows, (start, stride, flip_x, swap, sign, base) = self.coded(y0, y1)
        if self.plane.dtype.kind == "f":
            decode_words(out, rows, start, stride, flip_x, swap, self.offset)
        else:
            decode_halves(out, rows, start, stride, flip_x, swap, sign, base)

    def coded(self, y0: int, y1: int) -> tuple[npt.NDArray[Any], Decoding]:
        """Return rows ``y0:y1`` of the frame as they are stored, and how kernels decode them.

        Returns
        -------
        tuple of array and tuple
            Flat and read-only, as unsigned numbers of so many bits; where the first row begins,
            pixels from one to the next, whether rows are mirrored and bytes swapped, and of
            16-bit numbers `sign` and `base`.
        """
        first, last = self._stored_rows(y0, y1)
        box, dtype = self.section, self.plane.dtype
        bits = np.dtype(f"u{dtype.itemsize}")
        rows = np.ascontiguousarray(np.asarray(self.plane)[first:last]).view(bits).reshape(-1)
        rows.flags.writeable = False  # one compiled version serves mapped and plain arrays
        nx = self.plane.shape[1]
        start = box.x0 + (nx * (last - first - 1) if self.flip_y else 0)
        stride = -nx if self.flip_y else nx
        return rows, (start, stride, self.flip_x, not dtype.isnative, self.sign, self.base)

    @property
    def is_of_halves(self) -> bool:
        """Tell whether the plane holds 16-bit whole numbers."""
        return self.plane.dtype.kind in "iu" and self.plane.dtype.itemsize == 2

    @property
    def sign(self) -> int:
        """The sign bit of signed 16-bit numbers, 0 of unsigned ones."""
        return 0x8000 if self.plane.dtype.kind == "i" else 0

    @property
    def base(self) -> float:
        """What makes ADU of 16-bit numbers whose sign bit is inverted."""
        return float(self.offset - self.sign)

    @property
    def holds_counts(self) -> bool:
        """Tell whether rows can be read where they lie: as 16-bit numbers side by side."""
        return self.is_of_halves and self.plane.strides[1] == 2 and self.plane.flags.aligned

    def place(self) -> tuple[int, int, int]:
        """Return where the rows of the frame lie in memory.

        Returns
        -------
        tuple of int, int and int
            Address of the first, bytes from one to the next, 1 where they are mirrored.
        """
        box, down = self.section, self.plane.strides[0]
        address = int(self.plane.__array_interface__["data"][0]) + 2 * box.x0
        if self.flip_y:
            return address + (box.y1 - 1) * down, -down, int(self.flip_x)
        return address + box.y0 * down, down, int(self.flip_x)

    def _stored_rows(self, y0: int, y1: int) -> tuple[int, int]:
        """Return which rows of the plane hold rows ``y0:y1`` of the frame."""
        if self.flip_y:
            return self.section.y1 - y1, self.section.y1 - y0
        return self.section.y0 + y0, self.section.y0 + y1

    def release(self, y0: int, y1: int) -> None:
        """Let the system take back the memory of mapped rows that have been read.

        Only of a read-only map, whose pages come back from the file: a stack of hundreds of
        frames would otherwise count in full against the worker's memory. The system maps pages
        around the one asked for, beyond the rows too: where another thread is through with its
        rows already, nobody else would give these back.
        """
        mapped = _map_below(self.plane)
        if mapped is None or self.plane.flags.writeable:
            return
        first, last = self._stored_rows(y0, y1)
        data = int(self.plane.__array_interface__["data"][0])
        base = int(np.frombuffer(mapped, np.uint8).__array_interface__["data"][0])
        start = data - base + first * self.plane.strides[0]
        stop = data - base + last * self.plane.strides[0]
        start = start // MAPPED_AROUND * MAPPED_AROUND
        stop = min(len(mapped), (stop // MAPPED_AROUND + 1) * MAPPED_AROUND)
        length = stop // mmap.PAGESIZE * mmap.PAGESIZE - start
        if length > 0 and hasattr(mmap, "MADV_DONTNEED"):
            mapped.madvise(mmap.MADV_DONTNEED, start, length)


def _map_below(array: npt.NDArray[np.generic]) -> mmap.mmap | None:
    """Return the memory map an array looks into, if it does."""
    base: object = array
    while base is not None and not isinstance(base, mmap.mmap):
        base = base.obj if isinstance(base, memoryview) else getattr(base, "base", None)
    return base


def amplifiers(info: FrameInfo) -> tuple[Amplifier, ...]:
    """Return the frame's amplifiers, each with what the header says of the whole detector.

    A frame that names none is one amplifier over the whole plane of its first HDU.
    """
    whole = Section(0, info.ny, 0, info.nx)
    named = info.amplifiers or (
        Amplifier(hdu=info.hdus[0], data=whole, overscan=None, target=whole),
    )
    return tuple(
        replace(
            amp,
            gain_e_per_adu=_first(amp.gain_e_per_adu, info.gain_e_per_adu),
            read_noise_e=_first(amp.read_noise_e, info.read_noise_e),
            saturation_adu=_first(amp.saturation_adu, info.saturation_adu),
        )
        for amp in named
    )


def _first(*values: float | None) -> float | None:
    """Return the first value that is known and makes sense: above zero."""
    return next((v for v in values if v is not None and np.isfinite(v) and v > 0), None)


def gains_known(amps: Sequence[Amplifier]) -> bool:
    """Tell whether every amplifier's gain is known: then pixels can be brought to electrons."""
    return all(amp.gain_e_per_adu is not None for amp in amps)


def data_rows(exposure: Exposure, amp: Amplifier) -> RawRows:
    """Return an amplifier's light-sensitive pixels of an exposure.

    Raises
    ------
    BadFrameError
        If the plane is missing, is not two-dimensional or does not hold the sections.
    ShapeMismatchError
        If the section and its place in the frame differ in size.
    """
    plane = plane_of(exposure, amp)
    if amp.data.shape != amp.target.shape:
        raise ShapeMismatchError(
            f"{exposure.name}: an amplifier has {_size(amp.data)} pixels but a place of "
            f"{_size(amp.target)} in the frame; correct DATASEC and DETSEC, or the camera profile"
        )
    return RawRows(plane, amp.data, amp.flip_x, amp.flip_y, exposure.offset.get(amp.hdu, 0.0))


def overscan_rows(exposure: Exposure, amp: Amplifier) -> RawRows | None:
    """Return an amplifier's overscan pixels as stored, unflipped; None where it has none."""
    if amp.overscan is None:
        return None
    plane = plane_of(exposure, amp)
    return RawRows(plane, amp.overscan, False, False, exposure.offset.get(amp.hdu, 0.0))


def plane_of(exposure: Exposure, amp: Amplifier) -> RawPlane:
    """Return the plane an amplifier lies in, after checking that it does.

    Raises
    ------
    BadFrameError
        If the plane is missing, is not two-dimensional or does not hold the sections.
    """
    plane = exposure.planes.get(amp.hdu)
    if plane is None or plane.ndim != 2:
        raise BadFrameError(f"{exposure.name}: HDU {amp.hdu} holds no two-dimensional image")
    ny, nx = plane.shape
    for section in (amp.data, amp.overscan):
        if section is not None and not _inside(section, ny, nx):
            raise BadFrameError(
                f"{exposure.name}: a section of {_size(section)} pixels at column "
                f"{section.x0}, row {section.y0} is not inside the image of {nx} x {ny}; correct "
                "the header's sections or the camera profile"
            )
    return plane


def _inside(section: Section, ny: int, nx: int) -> bool:
    """Tell whether a section is not empty and lies inside an array of ``(ny, nx)``."""
    return 0 <= section.y0 < section.y1 <= ny and 0 <= section.x0 < section.x1 <= nx


def _size(section: Section) -> str:
    ny, nx = section.shape
    return f"{nx} x {ny}"


def check_same_layout(exposures: list[Exposure]) -> None:
    """Refuse frames that cannot lie on top of each other.

    Raises
    ------
    ShapeMismatchError
        If their assembled sizes, their binnings or the places of their amplifiers differ.
    """
    layouts: dict[_Layout, str] = {}
    for exposure in exposures:
        layouts.setdefault(_layout(exposure.info), exposure.name)
    if len(layouts) > 1:
        seen = "; ".join(
            f"{name}: {nx} x {ny}, binning {bx} x {by}, {len(places)} amplifiers"
            for (ny, nx, by, bx, places), name in layouts.items()
        )
        raise ShapeMismatchError(f"frames of different layout cannot be combined ({seen})")


def _layout(info: FrameInfo) -> _Layout:
    places = tuple(amp.target for amp in amplifiers(info))
    return info.ny, info.nx, info.binning_y, info.binning_x, places


def bands(ny: int, rows: int) -> Iterator[tuple[int, int]]:
    """Yield first and last-but-one row of consecutive bands of `rows` rows."""
    for y0 in range(0, ny, rows):
        yield y0, min(ny, y0 + rows)


class RowSource(Protocol):
    """A frame, or an amplifier of one, that gives its rows when asked."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        ...

    def read(self, y0: int, y1: int, out: FloatPlane) -> None:
        """Write rows ``y0:y1`` to `out`, float32 ``(y1 - y0, nx)``; NaN where unknown."""
        ...

    def release(self, y0: int, y1: int) -> None:
        """Free what reading these rows holds."""
        ...


def sample(source: RowSource, pixels: int) -> FloatPlane:
    """Return evenly spaced rows of a source that hold about `pixels` pixels, float32."""
    ny, nx = source.shape
    step = min(max(1, ny * nx // max(1, pixels)), ny)
    wanted = range(step // 2, ny, step)
    out = np.empty((len(wanted), nx), np.float32)
    for k, y in enumerate(wanted):
        source.read(y, y + 1, out[k : k + 1])
        source.release(y, y + 1)
    return out
