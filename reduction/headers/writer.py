"""What is particular to one writer of headers, as data and a rule or two of its own."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from reduction.headers.draft import Draft
from reduction.headers.kinds import KIND_KEYWORDS
from reduction.headers.places import TARGET_FIRST
from reduction.headers.sections import Geometry

BAND_KEYWORDS = (
    "FILTER", "FILTERS", "FILTNAM", "CAMFILT", "SUBSET", "ESO INS FILT1 NAME", "T80S FILTER",
    "FILTER1",
)  # fmt: skip
EXPTIME_KEYWORDS = (
    "EXPTIME", "EXPOSURE", "EXP", "EXP_TIME", "TELAPSE", "EXPOSED", "ELAPSED", "ITIME",
    "T80S DET EXPTIME",
)  # fmt: skip

GainMeaning = Literal["electrons", "setting", "unsaid"]
Rule = Callable[[Draft], None]


@dataclass(frozen=True, slots=True, eq=False)
class Writer:
    """A writer of headers: which keywords it uses, and for what.

    Attributes
    ----------
    name : str
        As FrameInfo has it.
    gain : {"electrons", "setting", "unsaid"}
        What its GAIN means: e-/ADU, a camera setting, or nobody knows.
    kind_keywords, band_keywords, exptime_keywords : tuple of str
        In order of trust.
    positions : tuple of (str, str, str)
        Right ascension, declination and their role, in order of trust.
    west : bool or None
        Whether it counts longitudes to the west; None where each header's comment tells.
    kelvin : bool
        Whether it gives the detector's temperature in kelvin.
    bits : int or None
        Of its converter, where the header does not say.
    sections : bool
        Whether its BIASSEC, DATASEC and TRIMSEC speak of the array at hand.
    geometry : callable or None
        Replaces the sections where the writer's read-out is known better.
    last : callable or None
        A rule of its own, after all others.
    """

    name: str
    gain: GainMeaning = "unsaid"
    kind_keywords: tuple[str, ...] = KIND_KEYWORDS
    band_keywords: tuple[str, ...] = BAND_KEYWORDS
    exptime_keywords: tuple[str, ...] = EXPTIME_KEYWORDS
    positions: tuple[tuple[str, str, str], ...] = TARGET_FIRST
    west: bool | None = None
    kelvin: bool = False
    bits: int | None = None
    sections: bool = True
    geometry: Callable[[Draft, Geometry], Geometry] | None = None
    last: Rule | None = None
