"""What a simulated night is made of: every number, with its unit."""

from dataclasses import dataclass, field, replace
from datetime import date
from enum import IntEnum
from typing import Self

import numpy as np


@dataclass(frozen=True, slots=True)
class Band:
    """One filter of the simulated camera.

    Attributes
    ----------
    name : str
        As the header spells it.
    zero_point : float
        Magnitude that gives one electron a second above the atmosphere.
    sky_mag : float
        Dark sky, magnitudes per square arcsecond, as the detector sees it.
    extinction : float
        Magnitudes per airmass.
    colour_term : float
        Instrumental minus catalogue magnitude, per magnitude of g - r.
    mag_slope, mag_offset : float
        A star's magnitude here is r + slope * (g - r) + offset.
    exptime_s : float
        Of a science exposure.
    n_dithers : int
        Science exposures of each field.
    fringe : float
        Amplitude of the fringes, as a fraction of the sky.
    """

    name: str
    zero_point: float
    sky_mag: float
    extinction: float
    colour_term: float
    mag_slope: float
    mag_offset: float
    exptime_s: float
    n_dithers: int
    fringe: float = 0.0


@dataclass(frozen=True, slots=True)
class Field:
    """A patch of sky, ICRS degrees, and the proposal that asked for it."""

    name: str
    ra_deg: float
    dec_deg: float
    proposal: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """Who asked for the observations."""

    code: str
    title: str
    pi: str


# A 60 cm telescope with a CCD of good red response: about 20 % of the photons become electrons.
BANDS = (
    Band("g", 22.5, 21.8, 0.18, 0.03, 1.0, 0.0, 180.0, 5),
    Band("r", 22.6, 21.0, 0.10, -0.01, 0.0, 0.0, 120.0, 5),
    Band("i", 22.2, 19.9, 0.06, 0.015, -0.42, 0.05, 240.0, 7, fringe=0.04),
)
PROPOSALS = (
    Proposal("2025B-0001", "Variable stars of the demonstration field", "Demo Observer"),
    Proposal("2025B-0002", "A second look at the second field", "Guest Observer"),
)
FIELDS = (
    Field("Demo North", 35.6120, -22.4175, PROPOSALS[0].code),
    Field("Demo South", 58.2410, -41.0330, PROPOSALS[1].code),
)


@dataclass(frozen=True, slots=True)
class NightParams:
    """A whole night; the same parameters give the same pixels.

    The night lies in the past of any clock the demo may meet, because a frame from the future
    is rightly doubted at ingest. `n_flat` frames are taken in each band; the first of the first
    band is saturated and the last of the last band too faint to use. `n_dark` darks are taken
    at each of `dark_exptimes_s`. `n_stars` is the mean number of stars inside one frame;
    stars of `bright_mags` (r), bright enough to bleed, stand in the middle half of each field.
    """

    seed: int = 20261120
    night: date = date(2025, 11, 20)
    shape: tuple[int, int] = (1024, 1024)
    overscan: int = 64
    bands: tuple[Band, ...] = BANDS
    fields: tuple[Field, ...] = FIELDS
    proposals: tuple[Proposal, ...] = PROPOSALS
    n_bias: int = 9
    n_dark: int = 5
    dark_exptimes_s: tuple[float, ...] = (60.0, 300.0)
    n_flat: int = 7
    n_stars: int = 260
    bright_mags: tuple[float, ...] = (9.6, 10.8)
    gain_e_per_adu: float = 1.5
    read_noise_e: float = 5.0
    bias_adu: float = 1000.0
    full_well_e: float = 90000.0
    saturation_adu: float = 60000.0
    dark_e_per_s: float = 0.03
    cosmic_rays_per_s: float = 0.12  # on a detector of 1024 x 1024
    pixel_scale_arcsec: float = 0.55
    fwhm_pix: float = 2.8
    moffat_beta: float = 3.5
    latitude_deg: float = -29.2567
    longitude_deg: float = -70.7378
    elevation_m: float = 2400.0
    faults: bool = field(default=True)  # a bad, a truncated and a growing file beside the rest

    @classmethod
    def small(cls) -> Self:
        """Return a night for quick tests: one field of 256 x 256, a handful of frames."""
        bands = tuple(replace(b, n_dithers=3 if b.fringe else 2) for b in BANDS)
        return cls(
            shape=(256, 256),
            overscan=32,
            bands=bands,
            fields=FIELDS[:1],
            n_bias=5,
            n_dark=3,
            n_flat=5,
            n_stars=40,
            bright_mags=(11.5,),
        )

    @property
    def area(self) -> float:
        """Light-sensitive pixels, in units of 1024 x 1024."""
        return self.shape[0] * self.shape[1] / 1024**2

    def band(self, name: str) -> Band:
        """Return the band of this name."""
        return next(b for b in self.bands if b.name == name)


class Stream(IntEnum):
    """What a stream of random numbers is for; each has its own, so that none disturbs another."""

    DETECTOR = 1
    STARS = 2
    PLAN = 3
    FRAME = 4
    CATALOGUE = 5


def stream(params: NightParams, purpose: Stream, index: int = 0) -> np.random.Generator:
    """Return the random numbers of one purpose, a pure function of the seed."""
    return np.random.default_rng([params.seed, int(purpose), index])
