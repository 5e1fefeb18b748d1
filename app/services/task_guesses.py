"""What the header of a task's image says, to be looked at and corrected before anything runs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from app.services import cameras
from reduction import fitsio, headers
from reduction.cards import FileHeaders
from reduction.errors import ReductionError
from reduction.frameinfo import FrameInfo, Origin
from reduction.headers.extensions import name_of
from reduction.headers.product import SOFTWARE


@dataclass(frozen=True, slots=True)
class Guess:
    """One value as it was read: in words, with its card, and why it may be wrong."""

    text: str
    card: str = ""
    doubt: str = ""


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What is known of an image before a step: its size, and guesses by their configuration key.

    The size is that of the pixels in the file, an overscan included; 0 where there are several
    amplifiers. Without an image that can be read `trouble` says why.
    """

    nx: int = 0
    ny: int = 0
    guesses: Mapping[str, Guess] = field(default_factory=dict)
    trouble: str = ""


def of_image(path: Path) -> ImageFacts:
    """Return what the header of an image says; what it does not say is left out."""
    try:
        file = fitsio.read_headers(path)
        info = headers.translate(
            file, file_name=path.name, profiles=cameras.profiles(), site=cameras.site()
        )[0]
    except FileNotFoundError:
        return ImageFacts(trouble="The image is not there.")
    except ReductionError as error:
        return ImageFacts(trouble=f"The header of {path.name} cannot be read: {error}")
    found = {key: guess for key, of in _GUESSES.items() if (guess := of(info)) is not None}
    if len(info.amplifiers) > 1:  # put together elsewhere than they lie in the file
        return ImageFacts(guesses=found)
    shape = next((hdu.shape for hdu in file.hdus if len(hdu.shape) > 1), (0, 0))
    return ImageFacts(shape[-1], shape[-2], found)


def cards_of(path: Path) -> list[dict[str, Any]]:
    """Return the cards of every HDU of a file, in order; nothing of one nobody can read."""
    try:
        file: FileHeaders = fitsio.read_headers(path)
    except (ReductionError, FileNotFoundError):
        return []
    return [
        {"keyword": key, "value": _as_in_fits(value), "comment": comment}
        for hdu in file.hdus
        for key, value, comment in hdu.cards.cards()
    ]


def _as_in_fits(value: object) -> object:
    """Return a card's value as FITS writes it: a logical is T or F."""
    return ("F", "T")[value] if isinstance(value, bool) else value


@dataclass(frozen=True, slots=True)
class Plane:
    """An HDU that holds an image: its number, its name, its rows and columns."""

    number: int
    name: str
    shape: tuple[int, int]


def planes_of(path: Path) -> Sequence[Plane]:
    """Return every HDU of a file that holds an image."""
    try:
        file = fitsio.read_headers(path)
    except (ReductionError, FileNotFoundError):
        return []
    return [
        Plane(number, name_of(hdu.cards), (hdu.shape[-2], hdu.shape[-1]))
        for number, hdu in enumerate(file.hdus)
        if len(hdu.shape) > 1
    ]


def _guess(info: FrameInfo, name: str, text: str) -> Guess:
    origin: Origin | None = info.origins.get(name)
    if origin is None:
        return Guess(text)
    return Guess(text, origin.card.strip(), info.doubts.get(name) or "")


def _of_number(name: str, digits: int = 6) -> Callable[[FrameInfo], Guess | None]:
    def guessed(info: FrameInfo) -> Guess | None:
        value = getattr(info, name)
        return None if value is None else _guess(info, name, f"{value:.{digits}g}")

    return guessed


def _gain(info: FrameInfo) -> Guess | None:
    """Return the gain of the pixels that are looked at: a product of ours is in electrons."""
    if info.writer != SOFTWARE:
        return _of_number("gain_e_per_adu")(info)
    gain = info.amplifiers[0].gain_e_per_adu if info.amplifiers else None
    return None if gain is None else Guess(f"{gain:.6g}")


def _saturation(info: FrameInfo) -> Guess | None:
    """Return the level of a raw frame; a product of ours has a flag at each pixel instead."""
    return None if info.writer == SOFTWARE else _of_number("saturation_adu")(info)


def _band(info: FrameInfo) -> Guess | None:
    if info.band is None:
        return None
    said = f"{info.band}, from {info.band_raw!r}" if info.band_raw else info.band
    return _guess(info, "band", said)


def _time(info: FrameInfo) -> Guess | None:
    moment = info.mid_utc or info.start_utc
    if moment is None:
        return None
    name = "mid_utc" if "mid_utc" in info.origins else "start_utc"
    return _guess(info, name, f"{moment:%Y-%m-%d %H:%M:%S}")


def _position(info: FrameInfo) -> Guess | None:
    if info.ra_deg is None or info.dec_deg is None:
        return None
    return _guess(info, "ra_deg", f"{info.ra_deg:.5f} {info.dec_deg:+.5f}")


_GUESSES: Final[Mapping[str, Callable[[FrameInfo], Guess | None]]] = {
    "filter": _band,
    "time": _time,
    "gain": _gain,
    "saturation": _saturation,
    "blind_match_center": _position,
    "pixel_scale": _of_number("pixel_scale_arcsec", 4),
}
