"""How the detector was read out: which pixels of which HDU see light, and where they go."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from reduction.camera import Amplifier, Section
from reduction.cards import Cards, HduHeader
from reduction.headers.values import first_number, number_of, text_of

_RANGE = r"\s*(\d+)\s*:\s*(\d+)\s*"
_SECTION = re.compile(rf"\[{_RANGE},{_RANGE}\]")
_GAPS = 1.3  # a mosaic of amplifiers has no gaps; of separate detectors it has


@dataclass(frozen=True, slots=True)
class Span:
    """A section as a header has it: zero-based, half-open, and whether it runs backwards."""

    section: Section
    flip_x: bool
    flip_y: bool


@lru_cache(maxsize=1024)
def parse_section(text: str) -> Span | None:
    """Parse ``[x1:x2,y1:y2]``, one-based and inclusive; None for anything else."""
    found = _SECTION.fullmatch(text.strip())
    if not found:
        return None
    x1, x2, y1, y2 = (int(number) for number in found.groups())
    if min(x1, x2, y1, y2) < 1:
        return None
    return Span(
        Section(min(y1, y2) - 1, max(y1, y2), min(x1, x2) - 1, max(x1, x2)),
        flip_x=x1 > x2,
        flip_y=y1 > y2,
    )


def _inside(section: Section, shape: tuple[int, int]) -> bool:
    return section.y1 <= shape[0] and section.x1 <= shape[1]


def _overlap(one: Section, other: Section) -> bool:
    return one.x0 < other.x1 and other.x0 < one.x1 and one.y0 < other.y1 and other.y0 < one.y1


def _span(cards: Cards, keyword: str) -> Span | None:
    text = text_of(cards, keyword) if keyword in cards else None
    return parse_section(text) if text else None


@dataclass(frozen=True, slots=True)
class Geometry:
    """The read-out of one frame.

    Attributes
    ----------
    amplifiers : tuple of Amplifier
        At least one; their targets tile the frame.
    ny, nx : int
        The assembled, trimmed frame.
    card : str
        The keyword that decided.
    rule : str
        The rule that decided.
    doubt : str or None
        Sections that were refused, and why.
    """

    amplifiers: tuple[Amplifier, ...]
    ny: int
    nx: int
    card: str
    rule: str
    doubt: str | None = None


def plane_shape(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return rows and columns of an image whose other axes have length one."""
    return (shape[-2], shape[-1]) if len(shape) > 1 else (1, shape[-1])


def whole(hdu: HduHeader, rule: str = "the whole array", doubt: str | None = None) -> Geometry:
    """Return the geometry of an image that is light-sensitive everywhere."""
    ny, nx = plane_shape(hdu.shape)
    area = Section(0, ny, 0, nx)
    return Geometry((Amplifier(hdu.index, area, None, area),), ny, nx, "", rule, doubt)


def _overscan(cards: Cards, keyword: str, data: Section, shape: tuple[int, int]) -> Section | None:
    """Return the overscan columns beside `data`, on its rows; None where the card gives none."""
    span = _span(cards, keyword)
    if span is None or not _inside(span.section, shape) or _overlap(span.section, data):
        return None
    section = span.section
    if section.y0 <= data.y0 and section.y1 >= data.y1:
        section = replace(section, y0=data.y0, y1=data.y1)
    return section


def single(hdu: HduHeader, cards: Cards) -> Geometry:
    """Return the geometry of a detector read through one amplifier in one HDU.

    Sections that do not lie within the array speak of another one (the untrimmed frame, the full
    chip) and are ignored, with a doubt.
    """
    shape = plane_shape(hdu.shape)
    for keyword in ("TRIMSEC", "DATASEC"):
        span = _span(cards, keyword)
        if span is None:
            continue
        if not _inside(span.section, shape):
            doubt = f"{keyword} lies outside the array: it speaks of an untrimmed or full frame"
            return whole(hdu, doubt=doubt)
        data = span.section
        overscan = _overscan(cards, "BIASSEC", data, shape)
        ny, nx = data.shape
        amplifier = Amplifier(hdu.index, data, overscan, Section(0, ny, 0, nx))
        return Geometry((amplifier,), ny, nx, keyword, f"{keyword} and BIASSEC")
    return whole(hdu)


def _binning(cards: Cards) -> tuple[int, int]:
    sums = cards.text("CCDSUM").split()
    if len(sums) == 2 and all(part.isdigit() and int(part) > 0 for part in sums):
        return int(sums[0]), int(sums[1])
    return 1, 1


def _piece(hdu: HduHeader, suffix: str = "") -> tuple[Amplifier, Section] | None:
    """Return an amplifier of a mosaic and where it lies on the detector, in binned pixels."""
    cards = hdu.cards
    detector = _span(cards, f"DETSEC{suffix}")
    shape = plane_shape(hdu.shape)
    data_span = _span(cards, f"DATASEC{suffix}") or _span(cards, f"TRIMSEC{suffix}")
    data = data_span.section if data_span else Section(0, shape[0], 0, shape[1])
    if detector is None or not _inside(data, shape):
        return None
    bin_x, bin_y = _binning(cards)
    y0, x0 = detector.section.y0 // bin_y, detector.section.x0 // bin_x
    ny, nx = data.shape
    flip_x = detector.flip_x != (data_span.flip_x if data_span else False)
    flip_y = detector.flip_y != (data_span.flip_y if data_span else False)
    gain = first_number(cards, (f"GAIN{suffix}",))
    noise = first_number(cards, (f"RDNOISE{suffix}",))
    saturation = number_of(cards, f"SATURAT{suffix}" if suffix else "SATURATE")
    amplifier = Amplifier(
        hdu.index,
        data,
        _overscan(cards, f"BIASSEC{suffix}", data, shape),
        Section(0, ny, 0, nx),
        flip_x,
        flip_y,
        gain[1] if gain and gain[1] > 0 else None,
        noise[1] if noise and noise[1] > 0 else None,
        saturation if saturation and saturation > 0 else None,
    )
    return amplifier, Section(y0, y0 + ny, x0, x0 + nx)


def mosaic(hdus: Sequence[HduHeader]) -> Geometry | None:
    """Return the geometry of amplifiers that tile one detector.

    Parameters
    ----------
    hdus : sequence of HduHeader
        Image HDUs; each has DETSEC, or DETSECA and DETSECB for its two amplifiers.

    Returns
    -------
    Geometry or None
        None where one has no usable sections, where two overlap, or where what lies between them
        says that they are separate detectors.
    """
    pieces = []
    for hdu in hdus:
        suffixes = ("A", "B") if "DETSECA" in hdu.cards else ("",)
        for suffix in suffixes:
            piece = _piece(hdu, suffix)
            if piece is None:
                return None
            pieces.append(piece)
    places = [place for _, place in pieces]
    y0, x0 = min(p.y0 for p in places), min(p.x0 for p in places)
    ny, nx = max(p.y1 for p in places) - y0, max(p.x1 for p in places) - x0
    area = sum(p.shape[0] * p.shape[1] for p in places)
    touching = any(_overlap(a, b) for i, a in enumerate(places) for b in places[i + 1 :])
    if touching or ny * nx > _GAPS * area:
        return None
    amplifiers = tuple(
        replace(amplifier, target=Section(p.y0 - y0, p.y1 - y0, p.x0 - x0, p.x1 - x0))
        for amplifier, p in pieces
    )
    return Geometry(amplifiers, ny, nx, "DETSEC", "amplifiers placed by DETSEC")
