"""What a frame has in common with others of its camera: read once for all that say the same.

A night's frames differ in time, place and temperature, and agree in most of what their headers
say. The first of them is read through cards that note which of them were looked at; another frame
of the same layout in which all of those are the same has, for certain, the same result.
"""

from dataclasses import dataclass
from typing import Any

from reduction.cards import CARD, Cards, HduHeader, Value
from reduction.frameinfo import Origin
from reduction.headers import readers
from reduction.headers.draft import Draft
from reduction.headers.identify import identify
from reduction.headers.kinds import name_says, read_kind
from reduction.headers.sections import Geometry, plane_shape, single, whole
from reduction.headers.writer import Writer

_MAX_NOTES = 32  # results remembered for one layout: exposures, bands and objects of a night


@dataclass(frozen=True, slots=True)
class CommonPart:
    """Everything but time, place, temperature and what the configuration says.

    `values` and `origins` are copied before they are added to; `unusable` is the reason where the
    array is no image.
    """

    writer: Writer
    geometry: Geometry
    unusable: str | None
    values: dict[str, Any]
    origins: dict[str, Origin]


class _Watched(Cards):
    """Cards that note where those stand that were read."""

    __slots__ = ("read",)

    def __init__(self, cards: Cards) -> None:
        super().__init__(cards.raw_bytes)
        self.read: dict[int, None] = {}

    def _note(self, keyword: str) -> None:
        at = self._find(keyword)
        if at is not None:
            self.read[at - at % CARD] = None

    def get(self, keyword: str, default: Value = None) -> Value:  # type: ignore[override]
        self._note(keyword)
        return super().get(keyword, default)

    def text(self, keyword: str) -> str:
        self._note(keyword)
        return super().text(keyword)

    def raw(self, keyword: str) -> str:
        self._note(keyword)
        return super().raw(keyword)

    def comment(self, keyword: str) -> str:
        self._note(keyword)
        return super().comment(keyword)

    def commentary(self, keyword: str) -> list[str]:
        word = keyword.encode("latin-1").ljust(8)
        for start in range(0, len(self.raw_bytes), CARD):
            if self.raw_bytes.startswith(word, start):
                self.read[start] = None
        return super().commentary(keyword)


def common_part(
    hdu: HduHeader, cards: Cards, file_name: str, detector: Geometry | None
) -> CommonPart:
    """Return what can be said of a frame without its time, place and temperature.

    Parameters
    ----------
    hdu : HduHeader
        That holds its pixels.
    cards : Cards
        Its own, with the primary's behind them.
    file_name : str
        Of the file.
    detector : Geometry or None
        Where its amplifiers are known already.

    Returns
    -------
    CommonPart
    """
    if not cards.alone or detector is not None:
        return _read(hdu, cards, file_name, detector)
    notes = cards.layout.notes
    raw = cards.raw_bytes
    told = hdu.index, hdu.shape, name_says(file_name)
    for starts, results in notes.items():
        known: CommonPart | None = results.get((told, *[raw[i : i + CARD] for i in starts]))
        if known is not None:
            return known
    watched = _Watched(cards)
    result = _read(hdu, watched, file_name, None)
    if sum(map(len, notes.values())) >= _MAX_NOTES:
        notes.clear()
    starts = tuple(watched.read)
    notes.setdefault(starts, {})[(told, *[raw[i : i + CARD] for i in starts])] = result
    return result


def _read(hdu: HduHeader, cards: Cards, file_name: str, detector: Geometry | None) -> CommonPart:
    draft = Draft(cards, file_name)
    writer = identify(cards)
    unusable = _unusable(hdu.shape, cards)
    ny, nx = plane_shape(hdu.shape)
    draft.values |= {"writer": writer.name, "nx": nx, "ny": ny}
    _read_values(draft, writer, hdu.cards if not cards.alone else cards)
    geometry = _geometry(draft, writer, hdu, detector if unusable is None else None)
    draft.values |= {"nx": geometry.nx, "ny": geometry.ny}
    return CommonPart(writer, geometry, unusable, draft.values, draft.origins)


def _read_values(draft: Draft, writer: Writer, own: Cards) -> None:
    readers.read_camera(draft)
    readers.read_exposure(draft, writer.exptime_keywords)
    readers.read_binning(draft)
    readers.read_people(draft)
    read_kind(draft, writer.kind_keywords)
    readers.read_band(draft, writer.band_keywords)
    readers.read_gain(draft, writer)
    readers.read_noise(draft)
    readers.read_saturation(draft, writer, own)
    readers.read_colour(draft)
    readers.read_pedestal(draft)
    readers.read_history(draft)


def _unusable(shape: tuple[int, ...], cards: Cards) -> str | None:
    """Return why an array cannot be reduced as an image, None where it can."""
    deep = [length for length in shape[:-2] if length > 1]
    if deep and "BANDID1" in cards:
        return "It holds extracted spectra, not an image."
    if deep:
        planes = " x ".join(map(str, deep))
        return f"It is a cube of {planes} planes (a colour image, say), not one image."
    if len(shape) == 1:
        return "It is one-dimensional: a spectrum, not an image."
    return None


def _geometry(draft: Draft, writer: Writer, hdu: HduHeader, detector: Geometry | None) -> Geometry:
    if detector is not None:
        geometry = detector
    elif writer.sections:
        geometry = single(hdu, draft.cards)
    else:
        geometry = whole(hdu, "this writer's sections speak of the full chip")
    if writer.geometry is not None:
        geometry = writer.geometry(draft, geometry)
    return geometry
