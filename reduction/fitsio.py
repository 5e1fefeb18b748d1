"""Read and write FITS files: the only place that opens one."""

import hashlib
import mmap
import os
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from reduction.cards import Cards, FileHeaders, HduHeader, ProductCard
from reduction.errors import BadFileError
from reduction.exposure import Exposure, RawPlane
from reduction.filestart import FileStart, file_headers, read_starts, start_headers
from reduction.fitswrite import bytes_sum
from reduction.frameinfo import FrameInfo
from reduction.guard import LIMITS, HduLayout, Limits, Source, only_layout, scan_layout
from reduction.headers.extensions import name_of
from reduction.image import Image, Unit
from reduction.imagewrite import PlainImage, plain_cards
from reduction.layouts import recent
from reduction.productwrite import stage_product, write_product

__all__ = [
    "Cards",
    "FileHeaders",
    "FileStart",
    "HduHeader",
    "Limits",
    "PlainImage",
    "ProductCard",
    "content_sha256",
    "open_exposure",
    "read_headers",
    "read_image",
    "read_product",
    "read_starts",
    "start_headers",
    "stage_product",
    "write_product",
]

_GZIP = b"\x1f\x8b"
_CHUNK = 1 << 20
_HEAD = 11_520
_LIMITS = LIMITS
_STORED = {8: ">u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}
_UNITS: dict[str, Unit] = {"adu": "adu", "electron": "electron", "1": "1", "": "1"}


class _PlainSource:
    """A file as it lies on disk; its first blocks are read once."""

    packed = False

    def __init__(self, descriptor: int, n_bytes: int, head: bytes) -> None:
        self._descriptor = descriptor
        self.packed_bytes = n_bytes
        self._head = head

    def read(self, start: int, n_bytes: int) -> bytes:
        if start + n_bytes <= len(self._head) or self.packed_bytes <= len(self._head):
            return self._head[start : start + n_bytes]
        if start >= self.packed_bytes:
            return b""
        return os.pread(self._descriptor, n_bytes, start)


class _GzipSource:
    """A gzipped file, unpacked as it is read onwards; what lies behind is forgotten."""

    packed = True

    def __init__(self, descriptor: int, n_bytes: int) -> None:
        self._descriptor = descriptor
        self.packed_bytes = n_bytes
        self._at = 0  # in the packed file
        self._unpacker = zlib.decompressobj(31)
        self._pending = b""
        self._start = 0  # of the window, in the unpacked file
        self._window = bytearray()

    def read(self, start: int, n_bytes: int) -> bytes:
        while self._start + len(self._window) < start + n_bytes:
            self._forget(start)
            more = self._unpack()
            if not more:
                break
            self._window += more
        self._forget(start)
        offset = start - self._start
        return bytes(memoryview(self._window)[offset : offset + n_bytes])

    def _forget(self, start: int) -> None:
        behind = min(max(start - self._start, 0), len(self._window))
        del self._window[:behind]
        self._start += behind

    def _unpack(self) -> bytes:
        """Return the next unpacked bytes, b"" at the end of what can be unpacked."""
        while True:
            if self._unpacker.eof:  # gzip files may be joined members
                self._pending = self._unpacker.unused_data
                self._unpacker = zlib.decompressobj(31)
            if not self._pending:
                self._pending = os.pread(self._descriptor, _CHUNK, self._at)
                self._at += len(self._pending)
                if not self._pending:
                    return b""
            try:
                unpacked = self._unpacker.decompress(self._pending, _CHUNK)
            except zlib.error:
                self._pending = b""
                return b""
            self._pending = self._unpacker.unconsumed_tail
            if unpacked:
                return unpacked


def _scan(path: str | Path, limits: Limits, n_bytes: int | None = None) -> list[HduLayout]:
    """Return where the HDUs of a file lie, guarded; `n_bytes` is its size where that is known."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if n_bytes is None:
            n_bytes = os.fstat(descriptor).st_size
        # No more than needed: pages are copied one by one, and files come by the thousand.
        head = os.pread(descriptor, recent.n_bytes or _HEAD, 0)
        if (only := only_layout(head, n_bytes, limits)) is not None:
            return [only]
        source: Source = _PlainSource(descriptor, n_bytes, head)
        if head.startswith(_GZIP):
            source = _GzipSource(descriptor, n_bytes)
        return scan_layout(source, limits, path)
    finally:
        os.close(descriptor)


def read_headers(
    path: str | Path, *, limits: Limits = _LIMITS, n_bytes: int | None = None
) -> FileHeaders:
    """Read the headers of a file, guarded; the data are only seeked over.

    Parameters
    ----------
    path : str or Path
        Plain, gzipped or tile-compressed FITS.
    limits : Limits
        What the file may promise.
    n_bytes : int or None
        Its size, where the caller looked at it already and will look again.

    Returns
    -------
    FileHeaders
        One header an HDU.

    Raises
    ------
    BadFileError
        With a stable `code`; see `reduction.guard.scan_layout`.
    OSError
        Where the file cannot be read.
    """
    return file_headers(_scan(path, limits, n_bytes))


def content_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content, as hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unpacked(path: Path, n_bytes: int) -> memoryview | mmap.mmap:
    """Return a file's content: mapped, or its first `n_bytes` in memory where it is gzipped."""
    with path.open("rb") as file:
        if file.read(2) == _GZIP:
            packed_bytes = os.fstat(file.fileno()).st_size
            return memoryview(_GzipSource(file.fileno(), packed_bytes).read(0, n_bytes))
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def stored_hdus(path: Path) -> list[tuple[HduLayout, memoryview]]:
    """Return every HDU of a file, guarded: how it is laid out, and its data as they are stored."""
    layouts = _scan(path, _LIMITS)
    content = memoryview(_unpacked(path, layouts[-1].end))
    return [(hdu, content[hdu.data_start : hdu.end]) for hdu in layouts]


def _scaling(cards: Cards) -> tuple[float, float]:
    scale, zero = cards.get("BSCALE", 1), cards.get("BZERO", 0)
    good_scale = isinstance(scale, int | float) and scale != 0
    good_zero = isinstance(zero, int | float)
    return float(scale) if good_scale else 1.0, float(zero) if good_zero else 0.0  # type: ignore[arg-type]


def _blank(cards: Cards, stored: RawPlane) -> npt.NDArray[np.bool_] | None:
    """Return where an integer plane holds BLANK; None where it does nowhere."""
    blank = cards.get("BLANK")
    if type(blank) is not int or stored.dtype.kind == "f":
        return None
    # A BLANK outside the stored type (32768 of 16-bit integers) can match nothing.
    half = 1 << (8 * stored.dtype.itemsize - 1)
    lowest = 0 if stored.dtype.kind == "u" else -half
    if not lowest <= blank < lowest + 2 * half:
        return None
    found: npt.NDArray[np.bool_] = np.equal(stored, blank)
    return found if found.any() else None


def _plane(content: memoryview | mmap.mmap, hdu: HduLayout) -> tuple[RawPlane, float]:
    """Return the pixels of one uncompressed image and what must be added to them."""
    bitpix = hdu.cards.get("BITPIX")
    ny, nx = hdu.shape[-2:] if len(hdu.shape) > 1 else (1, hdu.shape[-1])
    dtype: np.dtype[Any] = np.dtype(_STORED[int(bitpix)])  # type: ignore[arg-type]
    stored: npt.NDArray[Any] = np.frombuffer(content, dtype, ny * nx, hdu.data_start)
    stored = stored.reshape(ny, nx)
    scale, zero = _scaling(hdu.cards)
    blank = _blank(hdu.cards, stored)
    if blank is None and scale == 1:
        return stored, zero
    values = (stored * scale + zero).astype(np.float32)
    if blank is not None:
        values[blank] = np.nan
    return values, 0.0


def _tiled_plane(path: Path, index: int) -> RawPlane:
    """Return the pixels of a tile-compressed image, which astropy unpacks and scales."""
    from astropy.io import fits  # a slow import, and only compressed pixels need it
    from astropy.io.fits.hdu.compressed._compression import CfitsioException

    broken = (
        CfitsioException, fits.VerifyError, OSError, ValueError, TypeError, KeyError, IndexError,
        AttributeError, ArithmeticError, RuntimeError, EOFError, zlib.error, MemoryError,
    )  # fmt: skip
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with fits.open(path, memmap=False) as hdus:
                data = np.asarray(hdus[index].data)
    except broken as error:
        raise BadFileError(
            "bad_tiles", f"{path.name}: its tiles do not unpack: {error}."
        ) from error
    return data.reshape(data.shape[-2:] if data.ndim > 1 else (1, -1))


def open_exposure(path: Path, info: FrameInfo, *, sha256: bool = False) -> Exposure:
    """Open the pixels of one exposure.

    Parameters
    ----------
    path : Path
        The file `info` was translated from.
    info : FrameInfo
        Its translated header; the HDUs it names are opened.
    sha256 : bool
        Whether to take the digest of the content.

    Returns
    -------
    Exposure
        Planes of uncompressed files are read-only, big-endian memory maps, with `offset` to be
        added; all others are in memory. Pixels that hold BLANK are NaN, in float32.

    Raises
    ------
    BadFileError
        Where the file is no longer what its header said.
    """
    layouts = _scan(path, _LIMITS)
    wanted = sorted({amplifier.hdu for amplifier in info.amplifiers} or set(info.hdus))
    if wanted[-1] >= len(layouts) or any(not layouts[i].shape for i in wanted):
        raise BadFileError("changed", f"{path.name} has changed: its image is no longer there.")
    plain = any(not layouts[i].tiles for i in wanted)
    content = _unpacked(path, layouts[wanted[-1]].end) if plain else None
    planes: dict[int, RawPlane] = {}
    offset: dict[int, float] = {}
    for i in wanted:
        if layouts[i].tiles or content is None:
            planes[i], offset[i] = _tiled_plane(path, i), 0.0
        else:
            planes[i], offset[i] = _plane(content, layouts[i])
    digest = content_sha256(path) if sha256 else ""
    return Exposure(info, planes, offset, path.name, digest)


def read_image(path: Path, hdu: int | None = None, *, limits: Limits = _LIMITS) -> PlainImage:
    """Read one image of any FITS file, guarded.

    Parameters
    ----------
    path : Path
        Plain, gzipped or tile-compressed FITS.
    hdu : int or None
        Which HDU, negative from the end; None is the first that holds an image.
    limits : Limits
        What the file may promise.

    Returns
    -------
    PlainImage
        Its pixels and cards.

    Raises
    ------
    BadFileError
        ``no_hdu`` where there is no such HDU, ``no_image`` where it holds none, and what the
        guard says.
    OSError
        Where the file cannot be read.
    """
    layouts = _scan(path, limits)
    index = _image_index(layouts, hdu, path.name)
    found = layouts[index]
    if found.tiles:
        stored, zero = _tiled_plane(path, index), 0.0
    else:
        stored, zero = _plane(_unpacked(path, found.end), found)
    data = stored.astype(np.float32)
    data += np.float32(zero)
    return PlainImage(data, plain_cards(found.cards, layouts[0].cards if index else None), index)


def _image_index(layouts: list[HduLayout], hdu: int | None, name: str) -> int:
    """Return where the image asked for is."""
    if hdu is None:
        hdu = next((i for i, one in enumerate(layouts) if len(one.shape) > 1), 0)
    if not -len(layouts) <= hdu < len(layouts):
        raise BadFileError("no_hdu", f"{name} has {len(layouts)} extensions, counted from 0.")
    index = hdu % len(layouts)
    if len(layouts[index].shape) < 2:
        raise BadFileError("no_image", f"{name}: its extension {index} holds no image.")
    return index


def _verify(content: memoryview | mmap.mmap, hdu: HduLayout, name: str) -> None:
    """Refuse an HDU whose checksum does not hold."""
    if not hdu.cards.text("CHECKSUM").strip():
        return
    end = min(hdu.end, len(content))
    if bytes_sum(bytes(content[hdu.header_start : end])) not in (0, 0xFFFFFFFF):
        what = name_of(hdu.cards) or "primary"
        raise BadFileError("checksum", f"{name}: the checksum of its {what} HDU does not hold.")


def read_product(path: Path, *, verify: bool = True) -> tuple[Image, Cards]:
    """Read a product that `write_product` wrote.

    Parameters
    ----------
    path : Path
        The file.
    verify : bool
        Whether to check every HDU's checksum.

    Returns
    -------
    tuple of Image and Cards
        The image, in native byte order and writable, and the cards of the primary HDU with those
        of SCI behind them.

    Raises
    ------
    BadFileError
        ``not_product`` where SCI, VAR or DQ is missing, ``checksum`` where one does not hold.
    """
    layouts = _scan(path, _LIMITS)
    content = _unpacked(path, layouts[-1].end)
    if verify:
        for hdu in layouts:
            _verify(content, hdu, path.name)
    named = {name_of(hdu.cards).upper(): hdu for hdu in layouts if hdu.shape}
    if not {"SCI", "VAR", "DQ"} <= named.keys():
        raise BadFileError(
            "not_product", f"{path.name} has no SCI, VAR and DQ: no product of ours."
        )
    data, variance = (_plane(content, named[what])[0] for what in ("SCI", "VAR"))
    mask, zero = _plane(content, named["DQ"])
    image = Image(
        data=data.astype(np.float32),
        variance=variance.astype(np.float32),
        mask=_unsigned(mask, int(zero)),
        unit=_UNITS.get(named["SCI"].cards.text("BUNIT").strip().lower(), "adu"),
    )
    return image, layouts[0].cards.inheriting(named["SCI"].cards)


def _unsigned(stored: npt.NDArray[Any], zero: int) -> npt.NDArray[np.uint16]:
    native: npt.NDArray[np.uint16] = (stored.astype(np.int32) + zero).astype(np.uint16)
    return native
