"""What a source may be: the numbers that tables hold and their names."""

from collections.abc import Mapping
from enum import IntEnum
from typing import Any, Final

import numpy as np
import numpy.typing as npt


class SourceKind(IntEnum):
    """What a source looks like."""

    UNSURE = 0  # too faint, or nothing is known of the stars
    STAR = 1
    WIDE = 2  # a galaxy, or stars that are not parted
    SHARP = 3  # a hit of a cosmic ray or a hot pixel
    TRAIL = 4  # of a satellite, an aeroplane, a meteor


WORDS: Final[Mapping[SourceKind, str | None]] = {
    SourceKind.UNSURE: None,
    SourceKind.STAR: "star",
    SourceKind.WIDE: "galaxy",
    SourceKind.SHARP: "hit",
    SourceKind.TRAIL: "trail",
}


def words_of(kinds: npt.NDArray[Any]) -> list[str | None]:
    """Return the names of kinds, None where nothing is said.

    Parameters
    ----------
    kinds : array, ``(n,)``
        Values of `SourceKind`; NaN, of tables that are older than it, is `SourceKind.UNSURE`.

    Returns
    -------
    list of str or None
        ``star``, ``galaxy`` (or stars that are not parted), ``hit``, ``trail``.
    """
    numbers = np.nan_to_num(np.asarray(kinds, np.float64)).astype(int)
    return [WORDS[SourceKind(number)] for number in numbers.tolist()]
