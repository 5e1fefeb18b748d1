"""Raw frames whose counts can be combined as they are stored."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reduction.readout import RawRows, RowSource
from reduction.sources import CorrectedRows


@dataclass(frozen=True, slots=True)
class RawCounts:
    """Raw frames of 16-bit counts that differ from their values by a shift of every row.

    `shifts`, ``(n, ny)``, are relative to `common`, a whole number, so that counts moved by them
    stay within sixteen bits.
    """

    raws: Sequence[RawRows]
    shifts: npt.NDArray[np.float64]
    common: float

    @property
    def are_whole(self) -> bool:
        """Tell whether the shifts are whole numbers."""
        return bool((self.shifts == np.rint(self.shifts)).all())

    def places(self) -> npt.NDArray[np.int64]:
        """Return where each frame lies in memory, as the kernel takes it."""
        return np.array([raw.place() for raw in self.raws], dtype=np.int64)


def raw_counts(sources: Sequence[RowSource]) -> RawCounts | None:
    """Return the frames as counts and shifts where every one of them is no more than that."""
    raws, shifts = [], []
    for source in sources:
        if isinstance(source, RawRows):
            raw, shift = source, np.zeros(source.shape[0])
        elif isinstance(source, CorrectedRows) and source.only_shifts:
            raw, shift = source.raw, source.shift - source.levels.astype(np.float64)
        else:
            return None
        if not raw.holds_counts:
            return None
        raws.append(raw)
        shifts.append(shift + raw.base)
    if len({raw.plane.dtype for raw in raws}) > 1:
        return None
    common = float(np.rint(np.median(shifts)))
    return RawCounts(raws, np.stack(shifts) - common, common)
