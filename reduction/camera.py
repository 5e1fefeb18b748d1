"""What is known of a camera and a site besides a frame's header, and how a detector is read out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any


@dataclass(frozen=True, slots=True)
class Section:
    """A rectangle of an array, zero-based and half-open: ``array[y0:y1, x0:x1]``."""

    y0: int
    y1: int
    x0: int
    x1: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.y1 - self.y0, self.x1 - self.x0


@dataclass(frozen=True, slots=True)
class Amplifier:
    """One read-out of the detector: where its pixels lie in the file and in the frame.

    Attributes
    ----------
    hdu : int
        Index of the HDU that holds its pixels.
    data : Section
        Its light-sensitive pixels, in the HDU's array.
    overscan : Section or None
        Its overscan pixels, in the HDU's array; None where it has none.
    target : Section
        Where `data` goes in the assembled, trimmed frame.
    flip_x, flip_y : bool
        Whether `data` is mirrored on its way to `target`.
    gain_e_per_adu, read_noise_e, saturation_adu : float or None
        As the header or the camera profile gives them; None where nothing does.
    """

    hdu: int
    data: Section
    overscan: Section | None
    target: Section
    flip_x: bool = False
    flip_y: bool = False
    gain_e_per_adu: float | None = None
    read_noise_e: float | None = None
    saturation_adu: float | None = None


@dataclass(frozen=True, slots=True)
class Observatory:
    """A site: geodetic degrees, east positive, metres."""

    latitude_deg: float
    longitude_deg: float
    elevation_m: float = 0.0
    name: str = ""


@dataclass(frozen=True, slots=True)
class NameRule:
    """A shell pattern on the file name, and the FrameInfo fields it settles."""

    pattern: str
    settles: Mapping[str, Any]

    def matches(self, file_name: str) -> bool:
        """Tell whether the rule speaks of this file; case does not count."""
        return fnmatchcase(file_name.lower(), self.pattern.lower())


@dataclass(frozen=True, slots=True)
class CameraProfile:
    """What the site says of one camera, over what its headers say.

    `instrument` and `telescope` are shell patterns on INSTRUME and TELESCOP ("*" matches any,
    an empty header too). `settles` overrides FrameInfo fields by name (``gain_e_per_adu``,
    ``read_noise_e``, ``saturation_adu``, ``band``, ``technique``, ``kind``, ...). `name_rules` are
    tried in order on the file name, the first that matches wins. `site` places the camera where
    its headers are silent or wrong.
    """

    name: str
    instrument: str = "*"
    telescope: str = "*"
    settles: Mapping[str, Any] = field(default_factory=dict)
    name_rules: tuple[NameRule, ...] = ()
    site: Observatory | None = None

    def matches(self, instrument: str, telescope: str) -> bool:
        """Tell whether the profile speaks of this camera; case does not count."""
        return fnmatchcase(instrument.lower(), self.instrument.lower()) and fnmatchcase(
            telescope.lower(), self.telescope.lower()
        )
