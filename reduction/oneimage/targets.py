"""Targets of one image as people write them: names, places on the sky, pixels."""

import math
import re
from dataclasses import dataclass
from typing import Final

from reduction.errors import ReductionError
from reduction.headers.values import sexagesimal

MOST_TARGETS: Final = 1000
_NUMBER: Final = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_PIXELS: Final = re.compile(rf"x\s*=?\s*({_NUMBER})[\s,;]+y\s*=?\s*({_NUMBER})", re.IGNORECASE)
_DEGREES: Final = re.compile(rf"({_NUMBER})\s*°?[\s,;]+({_NUMBER})\s*°?")
_SIX: Final = re.compile(r"(\d+)\s+(\d+)\s+(\d+\.?\d*)[\s,;]+([+-]?\d+)\s+(\d+)\s+(\d+\.?\d*)")
_TWO: Final = re.compile(r"(\S*\d\S*[:hdms]\S*)[\s,;]+(\S*\d\S*[:dms°]\S*)")
_LETTERS: Final = re.compile(r"[hdms°'\"]+")


class BadTargetError(ReductionError):
    """A line that names no target; the message says what was wrong with it."""


@dataclass(frozen=True, slots=True)
class Target:
    """One line of a list of targets.

    Attributes
    ----------
    name : str
        As it was written, tidied.
    sky : tuple of float or None
        Right ascension and declination, degrees, where the line gives them.
    pixel : tuple of float or None
        Column and row from 0, where the line gives those.
    """

    name: str
    sky: tuple[float, float] | None = None
    pixel: tuple[float, float] | None = None


def parse_targets(text: str) -> list[Target]:
    """Return the targets of a text, one a line; empty lines and those that begin with # are none.

    Parameters
    ----------
    text : str
        Lines such as ``SN 2015bn``, ``173.4231 +0.7260``, ``11:33:41.57 +00:43:33.0`` or
        ``x=100.5 y=20``.

    Returns
    -------
    list of Target
        Names alone have neither place nor pixel: somebody must look them up.

    Raises
    ------
    BadTargetError
        Where a place is none on the sky, or there are more than a thousand lines.
    """
    lines = [" ".join(line.split()) for line in text.splitlines()]
    kept = [line for line in lines if line and not line.startswith("#")]
    if len(kept) > MOST_TARGETS:
        raise BadTargetError(f"target: {len(kept)} lines are too many, {MOST_TARGETS} are the most")
    return [parse_target(line) for line in kept]


def parse_target(line: str) -> Target:
    """Return the target of one line.

    Raises
    ------
    BadTargetError
        Where it gives a place that is none on the sky, or no pixel.
    """
    if found := _PIXELS.fullmatch(line):
        return Target(line, pixel=_checked_pixel(line, float(found[1]), float(found[2])))
    sky = parse_place(line)
    return Target(line, sky=sky)


def parse_place(text: str) -> tuple[float, float] | None:
    """Return the right ascension and declination a text gives, degrees; None where it is a name.

    Numbers are degrees; with colons, letters or in threes right ascension is in hours.

    Raises
    ------
    BadTargetError
        Where they are out of range.
    """
    plain = " ".join(text.split())
    if found := _DEGREES.fullmatch(plain):
        return _checked(plain, float(found[1]), float(found[2]))
    if found := _SIX.fullmatch(plain):
        ra = sexagesimal(":".join(found.group(1, 2, 3)))
        dec = sexagesimal(":".join(found.group(4, 5, 6)))
    elif found := _TWO.fullmatch(plain):
        ra, dec = (sexagesimal(_LETTERS.sub(":", part).strip(":")) for part in found.group(1, 2))
    else:
        return None
    if ra is None or dec is None:
        return None
    return _checked(plain, 15 * ra, dec)


def check_near(target: Target, shape: tuple[int, int]) -> None:
    """Refuse a target in pixels that lies farther from an image than that is wide or high.

    Parameters
    ----------
    target : Target
        One that gives no pixel passes.
    shape : tuple of int
        Rows and columns of the image.

    Raises
    ------
    BadTargetError
        With the size of the image.
    """
    if target.pixel is None:
        return
    (x, y), (ny, nx) = target.pixel, shape
    if not (-nx <= x < 2 * nx and -ny <= y < 2 * ny):
        raise BadTargetError(
            f"target {target.name!r}: it lies far outside of the image, which has {nx} x {ny} "
            "pixels"
        )


def _checked_pixel(text: str, x: float, y: float) -> tuple[float, float]:
    if not (math.isfinite(x) and math.isfinite(y)):
        raise BadTargetError(f"target {text!r}: no pixel has such a number")
    return x, y


def _checked(text: str, ra_deg: float, dec_deg: float) -> tuple[float, float]:
    if not 0 <= ra_deg <= 360:
        raise BadTargetError(f"target {text!r}: its right ascension is not from 0 to 360 degrees")
    if not -90 <= dec_deg <= 90:
        swapped = " (are they swapped?)" if abs(ra_deg) <= 90 else ""
        raise BadTargetError(f"target {text!r}: its declination is beyond a pole{swapped}")
    return ra_deg % 360, dec_deg
