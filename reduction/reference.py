"""The stars that a frame is compared with, as a catalogue has them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Reference:
    """Stars of a catalogue at the frame's epoch, the brightest first, ``(n,)`` each.

    Attributes
    ----------
    name : str
        Of the catalogue.
    band : str or None
        In which `mag` is, None where the catalogue has none for the frame's.
    ra_deg, dec_deg : float arrays
        Positions.
    mag, mag_error : float arrays
        In the frame's band, NaN where not known.
    colour : float array or None
        Of two of its bands, None where it has one.
    colour_name : str
        Such as ``g-r``.
    """

    name: str
    band: str | None
    ra_deg: Floats
    dec_deg: Floats
    mag: Floats
    mag_error: Floats
    colour: Floats | None = None
    colour_name: str = ""


# What catalogues hold around a place: right ascension, declination, radius, all in degrees. Those
# to be tried first come first; none where no catalogue covers it.
AskCatalogue = Callable[[float, float, float], Sequence[Reference]]
