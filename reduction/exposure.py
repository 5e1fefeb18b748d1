"""A raw frame as the recipes take it, and what the recipes give back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from reduction.frameinfo import FrameInfo
from reduction.image import Image

RawPlane = npt.NDArray[np.generic]  # any real dtype, any byte order, possibly a memory map


@dataclass(frozen=True, slots=True)
class Exposure:
    """One raw frame: its translated header and its untouched pixels.

    Attributes
    ----------
    info : FrameInfo
        Its amplifiers name an HDU each, by index.
    planes : mapping of int to array
        The pixels of those HDUs, physical values (BZERO applied, or a `scaled` plane: see
        `offset`), ``(ny, nx)``; memory maps where the file allows.
    offset : mapping of int to float
        What must be added to a plane's stored values to get ADU: 32768 for the usual unsigned
        16-bit file left as big-endian int16 on disk, 0 for all others.
    name : str
        The file's name, for messages.
    sha256 : str
        Of the file's content, for provenance; "" where it was not taken.
    """

    info: FrameInfo
    planes: Mapping[int, RawPlane]
    offset: Mapping[int, float] = field(default_factory=dict)
    name: str = ""
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A frame that did not enter a master, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class PlaneStats:
    """Numbers of one plane: unflagged pixels only; NaN-free. Units of the plane."""

    mode: float
    median: float
    noise: float
    n_good: int


@dataclass(frozen=True, slots=True)
class Master:
    """A combined calibration.

    Attributes
    ----------
    image : Image
        "adu" for bias and dark (the dark holds its exposure's dark signal, bias removed where a
        bias was given), "1" for a flat, normalised by the mode.
    used : sequence of str
        Names of the frames that entered.
    left_out : sequence of LeftOut
        Frames that did not, each with its reason.
    exptime_s, temp_c : float or None
        Of a dark: exposure and detector temperature it stands for.
    bias_removed : bool
        Of a dark: whether its signal scales with exposure.
    stats : PlaneStats
        Of `image`.
    thin : bool
        Made of fewer than 5 frames.
    notes : sequence of str
        What an observer should know ("no bias: the dark contains it").
    """

    image: Image
    used: Sequence[str]
    left_out: Sequence[LeftOut]
    stats: PlaneStats
    thin: bool
    exptime_s: float | None = None
    temp_c: float | None = None
    bias_removed: bool = False
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A reduced science frame.

    Attributes
    ----------
    image : Image
        In electrons where the gain is known, else in ADU.
    done : sequence of str
        Steps applied, in order: "overscan", "trim", "bias", "dark", "flat", "gain", "cosmic rays".
    missing : sequence of str
        One sentence for each calibration that should have been applied and was not there.
    stats : PlaneStats
        Of the sky.
    counts : mapping of str to int
        Pixels by flag name ("saturated", "cosmic_ray", "bad", ...).
    notes : sequence of str
        What else an observer should know (dark scaled from 300 s to 60 s, ...).
    """

    image: Image
    done: Sequence[str]
    missing: Sequence[str]
    stats: PlaneStats
    counts: Mapping[str, int]
    notes: Sequence[str] = ()
