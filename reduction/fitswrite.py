"""The bytes of a FITS file we write: HDUs, checksums, and a write that leaves all or nothing."""

import mmap
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, SupportsInt

import numpy as np
import numpy.typing as npt

from reduction.cards import Cards, FileHeaders, HduHeader, ProductCard
from reduction.cardwrite import ended, format_card, format_cards
from reduction.guard import BLOCK
from reduction.layouts import CARD
from reduction.wholefiles import Staged, stage

Store = Callable[[npt.NDArray[Any], npt.NDArray[Any]], SupportsInt]

_NO_CHECKSUM = "0" * 16
CHUNK = 4 << 20  # bytes brought to the file's byte order and written at a time


@dataclass(frozen=True, slots=True)
class Hdu:
    """An HDU ready to be written.

    Attributes
    ----------
    cards : sequence of (keyword, value, comment)
        All but the checksums.
    values : uint32 or uint16 array, flat and read-only
        The bits of floats, or flags, in native byte order.
    """

    cards: Sequence[ProductCard]
    values: npt.NDArray[Any]

    @property
    def padded(self) -> int:
        """Bytes of the data and what fills their last block."""
        return -(-self.values.nbytes // BLOCK) * BLOCK


def ones_complement_sum(words: npt.NDArray[np.uint32]) -> int:
    """Return the 32-bit ones' complement sum of words in their numeric value."""
    return _fold(int(words.sum(dtype=np.uint64)))


def _fold(total: int) -> int:
    while total >> 32:
        total = (total & 0xFFFFFFFF) + (total >> 32)
    return total


def bytes_sum(data: bytes) -> int:
    """Return the FITS checksum of bytes, padded with zeros to whole words."""
    padded = data + b"\0" * (-len(data) % 4)
    return ones_complement_sum(np.frombuffer(padded, ">u4"))


def encode_checksum(total: int) -> str:
    """Return the 16 ASCII characters of CHECKSUM that bring an HDU's sum to zero.

    References
    ----------
    FITS Standard 4.0 (2018), appendix J.
    """
    value = 0xFFFFFFFF - total
    columns = []
    for shift in (24, 16, 8, 0):
        byte = value >> shift & 0xFF
        four = [byte // 4 + 0x30 + (byte % 4 if i == 0 else 0) for i in range(4)]
        columns.append(_without_punctuation(four))
    text = "".join(chr(columns[j][i]) for i in range(4) for j in range(4))
    return text[-1] + text[:-1]


def _without_punctuation(four: list[int]) -> list[int]:
    """Shift pairs of characters apart until none of them is punctuation; their sum stays."""
    excluded = {*range(0x3A, 0x41), *range(0x5B, 0x61)}
    while any(code in excluded for code in four):
        for i in (0, 2):
            if four[i] in excluded or four[i + 1] in excluded:
                four[i] += 1
                four[i + 1] -= 1
    return four


def _with_checksums(cards: bytes, sum_of_data: int) -> bytes:
    """Return a header of some cards, DATASUM and a CHECKSUM that brings the HDU's sum to zero.

    It is of the same length whatever the sum.
    """
    datasum = format_card("DATASUM", str(sum_of_data), "checksum of the data")

    def whole(checksum: str) -> bytes:
        return ended(cards + format_card("CHECKSUM", checksum, "checksum of the HDU") + datasum)

    return whole(encode_checksum(_fold(bytes_sum(whole(_NO_CHECKSUM)) + sum_of_data)))


def _datasum(values: npt.NDArray[Any]) -> int:
    """Return the checksum of values as they will be stored."""
    from reduction.kernels import rows as kernel  # a slow import, and only writing needs it

    # A big-endian float's word is the native float's word: the sum needs no second byte order.
    total = kernel.sum_words(values) if values.itemsize == 4 else kernel.sum_flags(values)
    return _fold(int(total))


def float_hdu(cards: Sequence[ProductCard], plane: npt.NDArray[np.float32]) -> Hdu:
    """Return an image extension of 32-bit floats; `plane` is ``(ny, nx)``."""
    native = _flat(plane, np.dtype(np.float32))
    return Hdu([*_extension(-32, plane.shape), *cards], native.view(np.uint32))


def flags_hdu(cards: Sequence[ProductCard], mask: npt.NDArray[np.uint16]) -> Hdu:
    """Return an image extension of unsigned 16-bit integers; `mask` is ``(ny, nx)``."""
    unsigned: list[ProductCard] = [
        ("BSCALE", 1, "physical = stored * BSCALE + BZERO"),
        ("BZERO", 32768, "unsigned 16-bit integers"),
    ]
    native = _flat(mask, np.dtype(np.uint16))
    return Hdu([*_extension(16, mask.shape), *unsigned, *cards], native)


def _flat(plane: npt.NDArray[Any], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return a plane's values in a row and in native byte order, read-only as the kernels want."""
    flat: npt.NDArray[Any] = np.ascontiguousarray(plane, dtype=dtype).reshape(-1).view()
    flat.flags.writeable = False
    return flat


def _extension(bitpix: int, shape: tuple[int, ...]) -> list[ProductCard]:
    ny, nx = shape
    return [
        ("XTENSION", "IMAGE", "image extension"),
        ("BITPIX", bitpix, "bits of a stored value"),
        ("NAXIS", 2, "number of axes"),
        ("NAXIS1", nx, "columns"),
        ("NAXIS2", ny, "rows"),
        ("PCOUNT", 0, ""),
        ("GCOUNT", 1, ""),
    ]


def primary_hdu(cards: Sequence[ProductCard]) -> Hdu:
    """Return a primary HDU without data."""
    fixed: list[ProductCard] = [
        ("SIMPLE", True, "conforms to the FITS standard"),
        ("BITPIX", 8, "no data here"),
        ("NAXIS", 0, "the image is in the extensions"),
        ("EXTEND", True, ""),
    ]
    return Hdu([*fixed, *cards], _flat(np.empty(0, np.uint32), np.dtype(np.uint32)))


def write_hdus(path: Path, hdus: Sequence[Hdu]) -> None:
    """Write a file so that `path` holds the old content or all of the new, whatever happens.

    Raises
    ------
    OSError
        Where the disk is full, say; nothing is left behind and `path` is as it was.
    """
    staged = stage_hdus(path, hdus)
    try:
        staged.put()
    except BaseException:
        staged.discard()
        raise


def stage_hdus(path: Path, hdus: Sequence[Hdu], *, digest: bool = False) -> Staged:
    """Write a file under a temporary name in the folder of `path` and sync it.

    Parameters
    ----------
    path : Path
        The name it is to have.
    hdus : sequence of Hdu
        Its content.
    digest : bool
        Whether the SHA-256 of its content is taken on the way.

    Returns
    -------
    Staged
        To be put in its place, or discarded; with its headers' text.

    Raises
    ------
    OSError
        Where the disk is full, say; nothing is left behind.
    """
    # A digest takes the bytes in their order, headers first: there the sums take a pass.
    content = _Content.of(hdus, [_datasum(hdu.values) if digest else 0 for hdu in hdus])
    size = sum(len(raw) + hdu.padded for raw, hdu in zip(content.headers(), hdus, strict=True))
    behind = None if digest else content.placed_headers
    staged = stage(path, content.pieces(), size=size, digest=digest, behind=behind, direct=True)
    return replace(staged, header_text=_text(content.headers()))


def warm() -> None:
    """Load the kernels of writing, or compile them where their cache is empty."""
    plane = np.zeros((2, 3), np.float32)
    hdus = [float_hdu([], plane), flags_hdu([], plane.astype(np.uint16))]
    list(_Content.of(hdus, [_datasum(hdu.values) for hdu in hdus]).pieces())


@dataclass(frozen=True, slots=True)
class _Content:
    """What a file is to hold: its HDUs, the text of their cards, the sums of their data.

    A sum is right when its data are written, or was before.
    """

    hdus: Sequence[Hdu]
    cards: Sequence[bytes]
    sums: list[int]

    @classmethod
    def of(cls, hdus: Sequence[Hdu], sums: list[int]) -> "_Content":
        """Return the content, with the text of its cards."""
        return cls(hdus, [format_cards(hdu.cards) for hdu in hdus], sums)

    def headers(self) -> list[bytes]:
        """Return the headers, true once all sums are known."""
        return [_with_checksums(*both) for both in zip(self.cards, self.sums, strict=True)]

    def placed_headers(self) -> Iterator[tuple[int, memoryview]]:
        """Yield the headers, each with its place in the file."""
        at = 0
        for raw, hdu in zip(self.headers(), self.hdus, strict=True):
            yield at, memoryview(raw)
            at += len(raw) + hdu.padded

    def pieces(self) -> Iterator[memoryview]:
        """Yield the bytes of the file in order; each piece is good until the next is asked for.

        All but the last are of `CHUNK` bytes, and all begin with a page of memory. On the way the
        sums of the data become known.
        """
        store = np.empty(CHUNK + mmap.PAGESIZE, np.uint8)
        skip = -store.ctypes.data % mmap.PAGESIZE
        buffer, filled = store[skip : skip + CHUNK], 0
        for k, (raw, hdu) in enumerate(zip(self.headers(), self.hdus, strict=True)):
            end = np.zeros(hdu.padded - hdu.values.nbytes, np.uint8)
            filled, _ = yield from _filling(buffer, filled, np.frombuffer(raw, np.uint8), _copy)
            filled, total = yield from _filling(buffer, filled, hdu.values, _storing(hdu.values))
            filled, _ = yield from _filling(buffer, filled, end, _copy)
            self.sums[k] = _fold(total)
        if filled:
            yield buffer[:filled].data


def _filling(
    buffer: npt.NDArray[np.uint8],
    filled: int,
    values: npt.NDArray[Any],
    store: Store,
) -> Generator[memoryview, None, tuple[int, int]]:
    """Store values in a buffer behind what fills it already, and yield it whenever it is full.

    Returns how much of it is filled then, and the sum of what `store` returned.
    """
    width = values.itemsize
    first = total = 0
    while first < values.size:
        n = min(values.size - first, (len(buffer) - filled) // width)
        out = buffer[filled : filled + n * width].view(values.dtype)
        total += int(store(values[first : first + n], out))
        first, filled = first + n, filled + n * width
        if filled == len(buffer):
            yield buffer.data
            filled = 0
    return filled, total


def _storing(values: npt.NDArray[Any]) -> Store:
    """Return what brings values to a file's byte order and returns the plain sum of their words."""
    from reduction.kernels import rows as kernel  # a slow import, and only writing needs it

    return kernel.store_words if values.itemsize == 4 else kernel.store_flags


def _copy(values: npt.NDArray[Any], out: npt.NDArray[Any]) -> int:
    out[:] = values
    return 0


def _text(headers: Sequence[bytes]) -> str:
    """Return the headers as text, as they would be read again."""
    cards = [Cards(raw[: raw.rindex(b"END" + b" " * (CARD - 3))]) for raw in headers]
    return FileHeaders(tuple(HduHeader(i, one, ()) for i, one in enumerate(cards)), "").text
