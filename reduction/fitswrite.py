"""The bytes of a FITS file we write: cards, checksums, and a write that leaves all or nothing."""

import math
import os
import secrets
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from reduction.cards import CARD, ProductCard
from reduction.guard import BLOCK

_STRING = 68  # longest string of one card
_LONG_STRING = 67  # of a card that is continued, which needs its "&"
_NO_CHECKSUM = "0" * 16


@dataclass(frozen=True, slots=True)
class Hdu:
    """An HDU ready to be written: its cards but for the checksums, its data as they go to disk."""

    cards: Sequence[ProductCard]
    data: npt.NDArray[Any] | None = None  # big-endian, C-contiguous
    datasum: int = 0


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


def _number_text(value: float) -> str:
    """Return a number as FITS writes it; NaN and infinity have no form and become no value."""
    if isinstance(value, int):
        return str(value)
    if not math.isfinite(value):
        return ""
    text = repr(value).upper()
    return text if "." in text or "E" in text else text + ".0"


def _printable(text: str) -> str:
    """Return text that a FITS header may hold; what is not ASCII becomes a question mark."""
    return "".join(c if " " <= c <= "~" else "?" for c in text)


def _value_text(value: str | bool | float | None) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "T" if value else "F"
    return value if isinstance(value, str) else _number_text(value)


def _card(head: str, text: str, comment: str) -> bytes:
    card = head + text
    room = CARD - len(card) - 3
    if room > 0 and (words := _whole_words(_printable(comment), room)):
        card += f" / {words}"
    return card.encode("ascii").ljust(CARD)[:CARD]


def _whole_words(comment: str, room: int) -> str:
    """Return as much of a comment as has room, never part of a word; nothing may be left."""
    if len(comment) <= room:
        return comment
    return comment[: room + 1].rpartition(" ")[0].rstrip(" ,;:")


def _string_cards(head: str, value: str, comment: str) -> list[bytes]:
    text = _printable(value).replace("'", "''")
    room = CARD - len(head) - 2
    if len(text) <= room:
        return [_card(head, f"'{text:<8}'".ljust(20), comment)]
    pieces: list[str] = []
    while len(text) > (limit := (room if not pieces else _STRING) - 1):
        # A quote is two characters: they stay on one card.
        cut = limit - (1 if text[:limit].count("'") % 2 else 0)
        pieces.append(text[:cut] + "&")
        text = text[cut:]
    pieces.append(text)
    cards = [_card(head, f"'{pieces[0]}'", "")]
    cards += [_card("CONTINUE  ", f"'{piece}'", "") for piece in pieces[1:-1]]
    cards.append(_card("CONTINUE  ", f"'{pieces[-1]}'", comment))
    return cards


def format_card(keyword: str, value: str | bool | float | None, comment: str = "") -> bytes:
    """Return the card or cards of one value.

    Parameters
    ----------
    keyword : str
        One of more than eight characters, or with a blank, becomes a HIERARCH card; COMMENT and
        HISTORY hold text.
    value : str, bool, int, float or None
        A string too long for one card is continued; a number that is not finite has no value.
    comment : str
        Cut where the card ends.

    Returns
    -------
    bytes
        Whole cards of 80 ASCII characters.
    """
    keyword = keyword.upper()
    if keyword in ("COMMENT", "HISTORY"):
        text = _printable(str(value))
        rows = [text[i : i + CARD - 8] for i in range(0, max(len(text), 1), CARD - 8)]
        return b"".join(f"{keyword:<8}{row}".encode("ascii").ljust(CARD) for row in rows)
    long = len(keyword) > 8 or " " in keyword
    head = f"HIERARCH {keyword} = " if long else f"{keyword:<8}= "
    if isinstance(value, str):
        return b"".join(_string_cards(head, value, comment))
    text = _value_text(value)
    return _card(head, text if long else text.rjust(20), comment)


def format_header(cards: Iterable[ProductCard]) -> bytes:
    """Return a whole header, END and padding too."""
    raw = b"".join(format_card(*card) for card in cards) + b"END".ljust(CARD)
    return raw + b" " * (-len(raw) % BLOCK)


def _with_checksums(hdu: Hdu) -> bytes:
    """Return the header with DATASUM and a CHECKSUM that brings the HDU's sum to zero."""
    cards = list(hdu.cards)
    datasum = ("DATASUM", str(hdu.datasum), "checksum of the data")
    comment = "checksum of the HDU"
    blank = format_header([*cards, ("CHECKSUM", _NO_CHECKSUM, comment), datasum])
    total = _fold(bytes_sum(blank) + hdu.datasum)
    return format_header([*cards, ("CHECKSUM", encode_checksum(total), comment), datasum])


def float_hdu(cards: Sequence[ProductCard], plane: npt.NDArray[np.float32]) -> Hdu:
    """Return an image extension of 32-bit floats; `plane` is ``(ny, nx)``."""
    native = np.ascontiguousarray(plane, dtype=np.float32)
    # A big-endian float's word is the native float's word: the sum needs no second byte order.
    datasum = ones_complement_sum(native.reshape(-1).view(np.uint32))
    return Hdu([*_extension(-32, native.shape), *cards], native.astype(">f4"), datasum)


def flags_hdu(cards: Sequence[ProductCard], mask: npt.NDArray[np.uint16]) -> Hdu:
    """Return an image extension of unsigned 16-bit integers; `mask` is ``(ny, nx)``."""
    stored = np.ascontiguousarray(mask, dtype=np.uint16) ^ np.uint16(0x8000)
    flat = stored.reshape(-1)
    high, low = flat[0::2].sum(dtype=np.uint64), flat[1::2].sum(dtype=np.uint64)
    unsigned: list[ProductCard] = [
        ("BSCALE", 1, "physical = stored * BSCALE + BZERO"),
        ("BZERO", 32768, "unsigned 16-bit integers"),
    ]
    return Hdu(
        [*_extension(16, stored.shape), *unsigned, *cards],
        stored.astype(">u2"),
        _fold((int(high) << 16) + int(low)),
    )


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
    return Hdu([*fixed, *cards])


def _pieces(hdus: Sequence[Hdu]) -> Iterable[memoryview]:
    for hdu in hdus:
        yield memoryview(_with_checksums(hdu))
        if hdu.data is not None:
            yield hdu.data.reshape(-1).view(np.uint8).data
            yield memoryview(b"\0" * (-hdu.data.nbytes % BLOCK))


def write_hdus(path: Path, hdus: Sequence[Hdu]) -> None:
    """Write a file so that `path` holds the old content or all of the new, whatever happens.

    A temporary name in the same folder is written, synced and renamed, then the folder is synced.

    Raises
    ------
    OSError
        Where the disk is full, say; nothing is left behind and `path` is as it was.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with temporary.open("xb", buffering=0) as file:
            for piece in _pieces(hdus):
                while piece:
                    piece = piece[file.write(piece) :]
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            temporary.unlink()
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
