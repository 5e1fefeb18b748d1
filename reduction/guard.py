"""The guard: what a file's headers promise is checked before anything of its size is touched."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from reduction.cards import Cards
from reduction.errors import BadFileError
from reduction.layouts import CARD, MAX_REMEMBERED, Layout
from reduction.remembered import recalled, remembered

BLOCK = 2880
BITPIX = frozenset({8, 16, 32, 64, -32, -64})
_MAX_AXES = 9
_FIRST_READ = 4 * BLOCK
_MORE = 16 * BLOCK
_TRUE = (True, "T", 1)
_USUAL = b"SIMPLE  =       "
_COMPRESSED = {
    b"BZh": "bzip2",
    b"\x1f\x9d": "Unix compress (.Z)",
    b"\x1f\xa0": "Unix compress (.Z)",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PK\x03\x04": "zip",
}


@dataclass(frozen=True, slots=True, eq=False)
class Limits:
    """What a file may promise; more is refused before it is read or unpacked.

    `max_ratio` and `max_tile_ratio` bound how much larger than the file its unpacked pixels may
    be, for gzip and for tile compression; both spare files that unpack to less than
    `small_bytes`. Noise never packs that well, so real frames stay far below.
    """

    max_pixels: int = 20_000 * 20_000
    max_bytes: int = 4 << 30
    max_header_bytes: int = 8 << 20
    max_hdus: int = 512
    max_ratio: int = 200
    max_tile_ratio: int = 50
    small_bytes: int = 64 << 20


LIMITS = Limits()


class HduLayout(NamedTuple):
    """Where an HDU lies and what it holds.

    Attributes
    ----------
    cards : Cards
        Its own cards.
    shape : tuple of int
        Of its image in numpy's order, () without pixels.
    header_start, data_start, data_bytes : int
        In the (unpacked) file, bytes; `data_bytes` without padding.
    tiles : bool
        Whether the image is tile-compressed.
    """

    cards: Cards
    shape: tuple[int, ...]
    header_start: int
    data_start: int
    data_bytes: int
    tiles: bool

    @property
    def end(self) -> int:
        """Where the next HDU begins."""
        return self.data_start + self.data_bytes + -self.data_bytes % BLOCK


class Source(Protocol):
    """Bytes of a file, unpacked, read onwards."""

    packed_bytes: int  # size on disk
    packed: bool  # whether gzip lies between the disk and the bytes

    def read(self, start: int, n_bytes: int) -> bytes:
        """Return up to `n_bytes` bytes from `start`, fewer only at the file's end."""


def refuse_foreign(head: bytes, name: str) -> None:
    """Raise where a file's first bytes are not those of a FITS file.

    Raises
    ------
    BadFileError
        ``empty``, ``compression`` or ``not_fits``.
    """
    if head.startswith(b"SIMPLE  ="):
        return
    if not head:
        raise BadFileError("empty", f"{name} is empty.")
    for magic, kind in _COMPRESSED.items():
        if head.startswith(magic):
            raise BadFileError(
                "compression",
                f"{name}: {kind} compression not supported. Unpack it, or use gzip or fpack.",
            )
    raise BadFileError("not_fits", f"{name} does not begin with SIMPLE: it is no FITS file.")


def _end_card(buffer: bytes, start: int) -> int:
    """Return the offset of the END card at or after `start`, -1 where there is none yet."""
    # The blanks after it are not searched for: headers are full of them, which takes ten times
    # as long.
    at = buffer.find(b"END", start)
    while at >= 0 and (at % 80 or buffer[at : at + 8] != b"END     "):
        at = buffer.find(b"END", at + 1)
    return at


def _read_header(source: Source, start: int, limits: Limits) -> tuple[Cards, int] | None:
    """Return the cards of the header at `start` and its end; None where no header begins."""
    buffer = source.read(start, _FIRST_READ)
    if start and not buffer.startswith(b"XTENSION"):
        return None  # trailing bytes after the last HDU, which every reader ignores
    known = Cards.at_start_of(buffer)
    if known is not None:
        at = known.layout.n_bytes
        return known, start + at + 80 + -(at + 80) % BLOCK
    searched = 0
    while (at := _end_card(buffer, searched)) < 0:
        if len(buffer) >= limits.max_header_bytes:
            raise BadFileError(
                "header_too_long",
                f"No END card within the first {limits.max_header_bytes >> 20} MiB of a header.",
            )
        searched = len(buffer) - len(buffer) % 80
        more = source.read(start + len(buffer), max(_MORE, len(buffer)))
        if not more:
            raise BadFileError(
                "truncated_header", "The file ends within a header: there is no END card."
            )
        buffer += more
    return Cards.of_new_layout(buffer[:at]), start + at + 80 + -(at + 80) % BLOCK


def _count(cards: Cards, keyword: str, default: int | None = None) -> int:
    value = cards.get(keyword, default)
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is not int:
        said = cards.raw(keyword) or f"{keyword} is missing"
        raise BadFileError("bad_header", f"The header cannot be followed: {said}.")
    return value


def _axes(cards: Cards, prefix: str = "") -> tuple[int, ...]:
    """Return the lengths of the axes in the header's order."""
    n_axes = _count(cards, prefix + "NAXIS")
    if not 0 <= n_axes <= _MAX_AXES:
        raise BadFileError("bad_axes", f"{prefix}NAXIS is {n_axes}: no camera has so many axes.")
    axes = tuple(_count(cards, f"{prefix}NAXIS{i}") for i in range(1, n_axes + 1))
    if any(length < 0 for length in axes):
        raise BadFileError("bad_axes", f"An axis of negative length: {axes}.")
    return axes


def _bytes_per_value(cards: Cards, keyword: str = "BITPIX") -> int:
    bitpix = _count(cards, keyword)
    if bitpix not in BITPIX:
        raise BadFileError(
            "bad_bitpix", f"{keyword} is {bitpix}: FITS knows 8, 16, 32, 64, -32 and -64."
        )
    return abs(bitpix) // 8


def _data_bytes(cards: Cards, axes: tuple[int, ...]) -> int:
    groups = bool(axes) and axes[0] == 0 and cards.get("GROUPS") is True
    n_values = math.prod(axes[1:] if groups else axes) if axes else 0
    n_parameters, n_groups = _count(cards, "PCOUNT", 0), _count(cards, "GCOUNT", 1)
    if n_parameters < 0 or n_groups < 0:
        raise BadFileError("bad_header", "PCOUNT or GCOUNT is negative.")
    if not axes:
        return 0
    return _bytes_per_value(cards) * max(n_groups, 1) * (n_parameters + n_values)


def _is_image(cards: Cards) -> bool:
    extension = cards.get("XTENSION", "IMAGE")
    return isinstance(extension, str) and extension.strip().upper() in ("IMAGE", "IUEIMAGE")


def _refuse_large(shape: tuple[int, ...], unpacked: int, packed: int, limits: Limits) -> None:
    if math.prod(shape) > limits.max_pixels or unpacked > limits.max_bytes:
        size = " x ".join(map(str, reversed(shape)))
        raise BadFileError("too_large", f"The header promises an image of {size} pixels: refused.")
    if unpacked > limits.small_bytes and unpacked > limits.max_tile_ratio * packed:
        raise BadFileError(
            "bomb",
            f"{packed} compressed bytes claim to be {unpacked >> 20} MiB of pixels: refused.",
        )


class _Promise(NamedTuple):
    """What a header promises: the shape of its image, the bytes that follow, how they are kept."""

    shape: tuple[int, ...]
    data_bytes: int
    tiles: bool


def _promise(cards: Cards, limits: Limits) -> _Promise:
    axes = _axes(cards)
    _bytes_per_value(cards)
    n_bytes = _data_bytes(cards, axes)
    tiles = cards.get("ZIMAGE") in _TRUE and not _is_image(cards)
    shape: tuple[int, ...] = ()
    if tiles:
        shape = tuple(reversed(_axes(cards, "Z")))
        unpacked = math.prod(shape) * _bytes_per_value(cards, "ZBITPIX")
        _refuse_large(shape, unpacked, n_bytes, limits)
    elif _is_image(cards):
        shape = tuple(reversed(axes))
        _refuse_large(shape, n_bytes, n_bytes, limits)
    if 0 in shape:
        shape = ()
    if n_bytes > limits.max_bytes:
        raise BadFileError("too_large", f"An HDU promises {n_bytes >> 20} MiB: refused.")
    return _Promise(shape, n_bytes, tiles)


def image_shape(cards: Cards, limits: Limits = LIMITS) -> tuple[int, ...]:
    """Return the shape of the image a header promises, in numpy's order; () where it has none.

    Raises
    ------
    BadFileError
        As `scan_layout` does where the promise cannot be believed.
    """
    return _promise(cards, limits).shape


def _layout(cards: Cards, start: int, data_start: int, limits: Limits) -> HduLayout:
    promise = remembered(cards, limits, lambda watched: _promise(watched, limits))
    return HduLayout(cards, promise.shape, start, data_start, promise.data_bytes, promise.tiles)


def _refuse_missing(source: Source, hdu: HduLayout, limits: Limits) -> None:
    """Refuse an HDU whose data are not all there, and one that only a bomb could hold."""
    end = hdu.data_start + hdu.data_bytes
    if not source.packed:
        found = source.packed_bytes
    else:
        if end > limits.max_bytes or (
            end > limits.small_bytes and end > limits.max_ratio * source.packed_bytes
        ):
            raise BadFileError(
                "bomb",
                f"{source.packed_bytes} bytes of gzip claim to be {end >> 20} MiB: refused.",
            )
        found = end if not hdu.data_bytes or source.read(end - 1, 1) else -1
    if found < end:
        has = "fewer" if found < 0 else f"{max(found - hdu.data_start, 0)}"
        raise BadFileError(
            "truncated",
            f"Truncated: the header promises {hdu.data_bytes} bytes of data, the file has {has}.",
        )


def only_layout(head: bytes, n_bytes: int, limits: Limits) -> HduLayout | None:
    """Return where the one HDU of a file lies, told by its first bytes.

    Parameters
    ----------
    head : bytes
        The file's first bytes.
    n_bytes : int
        Its size.
    limits : Limits
        What it may promise.

    Returns
    -------
    HduLayout or None
        None where `scan_layout` must look at it: its header is not of a form met lately, or what
        it promises does not end where the file does.
    """
    cards = Cards.at_start_of(head) if head.startswith(_USUAL) else None
    if cards is None or limits.max_hdus < 2 or limits.max_header_bytes < MAX_REMEMBERED:
        return None
    used = cards.layout.n_bytes + CARD
    hdu = _layout(cards, 0, used + -used % BLOCK, limits)
    return hdu if hdu.data_start + hdu.data_bytes <= n_bytes <= hdu.end else None


class KnownPromise(NamedTuple):
    """What a header promises, as another that was followed did.

    Attributes
    ----------
    shape : tuple of int
        Of its image, which is the file's only one.
    sizes : range
        What the size of the file may be, bytes.
    read : frozenset of int
        The cards that make the promise, by number.
    """

    shape: tuple[int, ...]
    sizes: range
    read: frozenset[int]


def known_promise(
    layout: Layout, changed: Mapping[int, bytes], limits: Limits
) -> KnownPromise | None:
    """Return what a header promises that says what another said before.

    Parameters
    ----------
    layout : Layout
        Of it, the first of its file.
    changed : mapping
        The cards that differ from the first of the layout, by number.
    limits : Limits
        As the other was read with.

    Returns
    -------
    KnownPromise or None
        None where `scan_layout` must look at it.
    """
    known = recalled(layout, changed, limits)
    if known is None or not known.found.shape or limits.max_header_bytes < MAX_REMEMBERED:
        return None
    used = layout.n_bytes + CARD
    end = used + -used % BLOCK + known.found.data_bytes
    return KnownPromise(known.found.shape, range(end, end + -end % BLOCK + 1), known.read)


def scan_layout(source: Source, limits: Limits, path: str | Path) -> list[HduLayout]:
    """Read all headers of a file, seeking over the data.

    Parameters
    ----------
    source : Source
        The file.
    limits : Limits
        What it may promise.
    path : str or Path
        Its last part is for messages.

    Returns
    -------
    list of HduLayout
        At least one.

    Raises
    ------
    BadFileError
        With a stable `code`: ``empty``, ``compression``, ``not_fits``, ``truncated_header``,
        ``truncated``, ``bad_header``, ``bad_axes``, ``bad_bitpix``, ``header_too_long``,
        ``too_many_hdus``, ``too_large`` or ``bomb``.
    """
    if (head := source.read(0, 16)) != _USUAL:
        refuse_foreign(head, Path(path).name)
    found: list[HduLayout] = []
    start = header_bytes = 0
    while (header := _read_header(source, start, limits)) is not None:
        hdu = _layout(header[0], start, header[1], limits)
        _refuse_missing(source, hdu, limits)
        found.append(hdu)
        header_bytes += header[1] - start
        start = hdu.end
        if len(found) >= limits.max_hdus:
            name = Path(path).name
            raise BadFileError("too_many_hdus", f"{name} has more than {limits.max_hdus} HDUs.")
        if header_bytes > limits.max_header_bytes:
            name = Path(path).name
            raise BadFileError("header_too_long", f"The headers of {name} are too long.")
    return found
