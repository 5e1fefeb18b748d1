"""What a frame has in common with others of its camera: read once for all that say the same.

A night's frames differ in time, place and temperature, and agree in most of what their headers
say (`reduction.remembered`).
"""

from dataclasses import dataclass
from typing import Any

from reduction.cards import Cards, HduHeader
from reduction.frameinfo import Note
from reduction.headers import readers
from reduction.headers.amplifiers import put_amplifiers
from reduction.headers.draft import Draft
from reduction.headers.identify import identify
from reduction.headers.kinds import name_says, read_kind
from reduction.headers.sections import Geometry, plane_shape, single, whole
from reduction.headers.writer import Writer
from reduction.remembered import remembered


@dataclass(frozen=True, slots=True)
class CommonPart:
    """Everything but time, place, temperature and what the configuration says.

    `values` and `notes` are copied before they are added to; `unusable` is the reason where the
    array is no image. `is_whole` says that the amplifiers are among the values, because the
    writer has no rule that comes last.
    """

    writer: Writer
    geometry: Geometry
    unusable: str | None
    values: dict[str, Any]
    notes: dict[str, Note]
    is_whole: bool


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
    if detector is not None:
        return _read(hdu, cards, file_name, detector)
    told = "common", hdu.index, hdu.shape, name_says(file_name)
    return remembered(cards, told, lambda watched: _read(hdu, watched, file_name, None))


def _read(hdu: HduHeader, cards: Cards, file_name: str, detector: Geometry | None) -> CommonPart:
    draft = Draft(cards, file_name)
    writer = identify(cards)
    unusable = _unusable(hdu.shape, cards)
    ny, nx = plane_shape(hdu.shape)
    draft.values |= {"writer": writer.name, "nx": nx, "ny": ny}
    _read_values(draft, writer, hdu.cards if not cards.alone else cards)
    geometry = _geometry(draft, writer, hdu, detector if unusable is None else None)
    draft.values |= {"nx": geometry.nx, "ny": geometry.ny}
    is_whole = writer.last is None and len(geometry.amplifiers) == 1
    if is_whole:
        put_amplifiers(draft, geometry)
    return CommonPart(writer, geometry, unusable, draft.values, draft.notes, is_whole)


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
