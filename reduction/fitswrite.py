"""The bytes of a FITS file we write: HDUs, checksums, and a write that leaves all or nothing."""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from reduction.cards import Cards, FileHeaders, HduHeader, ProductCard
from reduction.cardwrite import format_header
from reduction.guard import BLOCK
from reduction.layouts import CARD
from reduction.wholefiles import Staged, stage

_NO_CHECKSUM = "0" * 16
CHUNK = 1 << 20  # bytes brought to the file's byte order and written at a time


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


def _with_checksums(hdu: Hdu, sum_of_data: int) -> bytes:
    """Return the header with DATASUM and a CHECKSUM that brings the HDU's sum to zero.

    It is of the same length whatever the sum.
    """
    cards = list(hdu.cards)
    datasum = ("DATASUM", str(sum_of_data), "checksum of the data")
    comment = "checksum of the HDU"
    blank = format_header([*cards, ("CHECKSUM", _NO_CHECKSUM, comment), datasum])
    total = _fold(bytes_sum(blank) + sum_of_data)
    return format_header([*cards, ("CHECKSUM", encode_checksum(total), comment), datasum])


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
    content = _Content(hdus, [_datasum(hdu.values) if digest else 0 for hdu in hdus])
    size = sum(len(raw) + hdu.padded for raw, hdu in zip(content.headers(), hdus, strict=True))
    behind = None if digest else content.placed_headers
    staged = stage(path, content.pieces(), size=size, digest=digest, behind=behind)
    return replace(staged, header_text=_text(content.headers()))


def warm() -> None:
    """Load the kernels of writing, or compile them where their cache is empty."""
    plane = np.zeros((2, 3), np.float32)
    hdus = [float_hdu([], plane), flags_hdu([], plane.astype(np.uint16))]
    for piece in _Content(hdus, [_datasum(hdu.values) for hdu in hdus]).pieces():
        piece.release()


@dataclass(frozen=True, slots=True)
class _Content:
    """What a file is to hold: its HDUs, and the sums of their data as far as they are known."""

    hdus: Sequence[Hdu]
    sums: list[int]

    def headers(self) -> list[bytes]:
        """Return the headers, true once all sums are known."""
        return [_with_checksums(*both) for both in zip(self.hdus, self.sums, strict=True)]

    def placed_headers(self) -> Iterator[tuple[int, memoryview]]:
        """Yield the headers, each with its place in the file."""
        at = 0
        for raw, hdu in zip(self.headers(), self.hdus, strict=True):
            yield at, memoryview(raw)
            at += len(raw) + hdu.padded

    def pieces(self) -> Iterator[memoryview]:
        """Yield the bytes of the file in order; each piece is good until the next is asked for.

        On the way the sums of the data become known.
        """
        buffer = np.empty(CHUNK // 2, np.uint16)
        at = 0
        for k, (raw, hdu) in enumerate(zip(self.headers(), self.hdus, strict=True)):
            yield memoryview(raw)
            at += len(raw)
            self.sums[k] = _fold((yield from _swapped(hdu.values, buffer, at)))
            yield memoryview(bytes(hdu.padded - hdu.values.nbytes))
            at += hdu.padded


def _swapped(
    values: npt.NDArray[Any], buffer: npt.NDArray[np.uint16], at: int
) -> Generator[memoryview, None, int]:
    """Yield values as they are stored from byte `at` of a file on, in pieces that end on chunks.

    The pieces share one buffer, which stays in a core's second cache until it is written.
    Returns the plain sum of their words.
    """
    from reduction.kernels import rows as kernel  # a slow import, and only writing needs it

    width = values.itemsize
    store = kernel.store_words if width == 4 else kernel.store_flags
    out = buffer.view(values.dtype)
    first = total = 0
    while first < values.size:
        n = min(values.size - first, (CHUNK - (at + first * width) % CHUNK) // width)
        total += int(store(values[first : first + n], out[:n]))
        yield out[:n].view(np.uint8).data
        first += n
    return total


def _text(headers: Sequence[bytes]) -> str:
    """Return the headers as text, as they would be read again."""
    cards = [Cards(raw[: raw.rindex(b"END" + b" " * (CARD - 3))]) for raw in headers]
    return FileHeaders(tuple(HduHeader(i, one, ()) for i, one in enumerate(cards)), "").text
