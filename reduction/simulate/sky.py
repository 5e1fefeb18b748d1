"""Stars: where they are, how bright, what the telescope makes of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from reduction.simulate.params import Band, Field, NightParams, Stream, stream

Column = npt.NDArray[np.float64]

BRIGHTEST, FAINTEST = 11.2, 20.8  # r magnitudes of the simulated stars
COUNT_SLOPE = 0.25  # dex of stars per magnitude, as at middle galactic latitude
CATALOGUE_EPOCH = 2016.0
FIELD_MARGIN = 1.45  # half-width of the field of stars, in half-widths of a frame
STAMP_EDGE_E = 0.003  # electrons a pixel below which a wing is not drawn: 0.05 % of a faint star


@dataclass(frozen=True, slots=True)
class StarField:
    """Stars of one field at the epoch of the night.

    `ra_deg`, `dec_deg` ICRS at the night; `pm_ra_mas_yr` includes cos(dec); `mag` by band, in the
    catalogue's system; `colour` its g - r.
    """

    field: str
    star_id: npt.NDArray[np.int64]
    ra_deg: Column
    dec_deg: Column
    pm_ra_mas_yr: Column
    pm_dec_mas_yr: Column
    colour: Column
    mag: Mapping[str, Column]


@dataclass(frozen=True, slots=True)
class Tangent:
    """A gnomonic projection: what FITS calls TAN, with zero-based pixels.

    `x0`, `y0` is the pixel of the tangent point; `cd` the degrees per pixel, (xi, eta) by (x, y).
    """

    ra_deg: float
    dec_deg: float
    x0: float
    y0: float
    cd: tuple[tuple[float, float], tuple[float, float]]

    def to_pixels(self, ra_deg: Column, dec_deg: Column) -> tuple[Column, Column]:
        """Return ``x, y`` of these positions (Calabretta & Greisen 2002, section 5.1.3)."""
        ra, dec = np.radians(ra_deg - self.ra_deg), np.radians(dec_deg)
        sin0, cos0 = np.sin(np.radians(self.dec_deg)), np.cos(np.radians(self.dec_deg))
        depth = np.sin(dec) * sin0 + np.cos(dec) * cos0 * np.cos(ra)
        xi = np.degrees(np.cos(dec) * np.sin(ra) / depth)
        eta = np.degrees((np.sin(dec) * cos0 - np.cos(dec) * sin0 * np.cos(ra)) / depth)
        x, y = np.linalg.inv(np.array(self.cd)) @ np.stack([xi, eta])
        return x + self.x0, y + self.y0


@dataclass(frozen=True, slots=True)
class Moffat:
    """A point spread function as the pixels sample it (Moffat 1969)."""

    fwhm_pix: float
    beta: float

    @property
    def alpha_pix(self) -> float:
        """Core width of the profile."""
        return float(self.fwhm_pix / (2.0 * np.sqrt(2.0 ** (1.0 / self.beta) - 1.0)))

    def density(self, radius2_pix: Column) -> Column:
        """Return the fraction of the light a pixel at this squared radius takes."""
        a2 = self.alpha_pix**2
        return np.asarray((self.beta - 1) / (np.pi * a2) * (1 + radius2_pix / a2) ** -self.beta)

    def enclosed(self, radius_pix: float) -> float:
        """Return the fraction of the light within this radius."""
        return float(1.0 - (1.0 + (radius_pix / self.alpha_pix) ** 2) ** (1.0 - self.beta))

    def reach(self, electrons: float, edge_e: float) -> float:
        """Return the radius where a star of this flux falls below `edge_e` a pixel."""
        peak = electrons * float(self.density(np.zeros(1))[0])
        ratio = max(peak / edge_e, 1.0)
        return float(self.alpha_pix * np.sqrt(ratio ** (1.0 / self.beta) - 1.0))


def make_stars(params: NightParams, field: Field, index: int, first_id: int) -> StarField:
    """Draw the stars of one field, some beyond the frame so that every dither is covered.

    Parameters
    ----------
    params : NightParams
        How many stars a frame should hold, and their bands.
    field : Field
        Where.
    index : int
        Which stream of random numbers.
    first_id : int
        The first star's number.

    Returns
    -------
    StarField
        Uniform on the sky, numbers rising by `COUNT_SLOPE` dex a magnitude.
    """
    rng = stream(params, Stream.STARS, index)
    n = round(params.n_stars * FIELD_MARGIN**2)
    half_deg = np.array(params.shape[::-1]) * params.pixel_scale_arcsec / 7200 * FIELD_MARGIN
    east, north = half_deg[:, None] * rng.uniform(-1.0, 1.0, (2, n))
    mag_r = draw_magnitudes(n, rng)
    bright = len(params.bright_mags)
    mag_r[:bright] = params.bright_mags
    east[:bright] /= 2 * FIELD_MARGIN
    north[:bright] /= 2 * FIELD_MARGIN
    dec = field.dec_deg + north
    colour = np.clip(rng.normal(0.65, 0.3, n), -0.2, 1.5)
    pm = rng.normal(0.0, 6.0, (2, n))
    return StarField(
        field=field.name,
        star_id=np.arange(first_id, first_id + n),
        ra_deg=field.ra_deg + east / np.cos(np.radians(dec)),
        dec_deg=dec,
        pm_ra_mas_yr=pm[0],
        pm_dec_mas_yr=pm[1],
        colour=colour,
        mag={b.name: mag_r + b.mag_slope * colour + b.mag_offset for b in params.bands},
    )


def draw_magnitudes(n: int, rng: np.random.Generator) -> Column:
    """Draw r magnitudes whose numbers rise by `COUNT_SLOPE` dex a magnitude."""
    low, high = 10 ** (COUNT_SLOPE * BRIGHTEST), 10 ** (COUNT_SLOPE * FAINTEST)
    return np.asarray(np.log10(rng.uniform(low, high, n)) / COUNT_SLOPE)


def electrons_of(stars: StarField, band: Band, exptime_s: float, airmass: float) -> Column:
    """Return each star's mean electrons at unit response, after air and colour term."""
    dimmed = stars.mag[band.name] + band.extinction * airmass + band.colour_term * stars.colour
    return np.asarray(exptime_s * 10 ** (-0.4 * (dimmed - band.zero_point)))


def sky_electrons(params: NightParams, band: Band, exptime_s: float, airmass: float) -> float:
    """Return the sky's electrons a pixel, brighter toward the horizon."""
    per_pixel = band.sky_mag - 2.5 * np.log10(params.pixel_scale_arcsec**2)
    return float(exptime_s * airmass**0.7 * 10 ** (-0.4 * (per_pixel - band.zero_point)))


def draw_stars(
    shape: tuple[int, int], x: Column, y: Column, electrons: Column, psf: Moffat
) -> npt.NDArray[np.float64]:
    """Paint stars on an empty plane, each on a stamp as large as its brightness needs.

    Parameters
    ----------
    shape : tuple
        ``(ny, nx)``.
    x, y : arrays
        Centres, zero-based pixels; they may lie outside.
    electrons : array
        Total electrons.
    psf : Moffat
        Sampled at the pixels' centres: it stands for the profile already convolved with a pixel.

    Returns
    -------
    float64 array
        Mean electrons, ``(ny, nx)``.
    """
    plane = np.zeros(shape)
    for xc, yc, flux in zip(x, y, electrons, strict=True):
        reach = int(np.ceil(psf.reach(flux, STAMP_EDGE_E))) + 1
        x0, x1 = max(int(xc) - reach, 0), min(int(xc) + reach + 1, shape[1])
        y0, y1 = max(int(yc) - reach, 0), min(int(yc) + reach + 1, shape[0])
        if x0 >= x1 or y0 >= y1:
            continue
        radius2 = (np.arange(x0, x1) - xc) ** 2 + (np.arange(y0, y1)[:, None] - yc) ** 2
        plane[y0:y1, x0:x1] += flux * psf.density(radius2)
    return plane


def airmass_at(ra_deg: float, dec_deg: float, when: datetime, params: NightParams) -> float:
    """Return the airmass of a position over the site (Pickering 2002)."""
    days = (when - datetime(2000, 1, 1, 12, tzinfo=UTC)).total_seconds() / 86400
    sidereal_deg = 280.46061837 + 360.98564736629 * days + params.longitude_deg
    hour = np.radians(sidereal_deg - ra_deg)
    latitude, dec = np.radians(params.latitude_deg), np.radians(dec_deg)
    sine = np.sin(latitude) * np.sin(dec) + np.cos(latitude) * np.cos(dec) * np.cos(hour)
    altitude = float(np.degrees(np.arcsin(sine)))
    return float(1.0 / np.sin(np.radians(altitude + 244.0 / (165.0 + 47.0 * altitude**1.1))))
