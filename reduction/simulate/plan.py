"""The observer's evening: which exposures are taken, when, and where the telescope points."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta

import numpy as np

from reduction.simulate.params import Band, Field, NightParams, Stream, stream
from reduction.simulate.sky import Column, Moffat, Tangent, airmass_at

READOUT = timedelta(seconds=12)
# UTC of the site in Chile: afternoon calibrations, sunset flats, the end of twilight.
BIAS_AT, FLATS_AT, SCIENCE_AT = time(20, 0), time(23, 35), time(0, 50)
FLAT_EXPTIME_S = 5.0
FLAT_FIRST_ADU, FLAT_LAST_ADU = 46000.0, 15000.0
FLAT_SATURATED_ADU, FLAT_FAINT_ADU = 90000.0, 200.0
ROTATION_DEG = 0.7
DITHER_PIX = 30.0
POINTING_ERROR_ARCSEC = 8.0
GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))


@dataclass(frozen=True, slots=True)
class Planned:
    """One exposure to come.

    Attributes
    ----------
    file : str
        Its file name.
    kind : str
        "bias", "dark", "flat" or "science".
    exptime_s, start_utc
        When the shutter is open.
    band : str
        "" for bias and dark.
    field : Field or None
        Where a science exposure points.
    level_adu : float
        Of a flat: the twilight's level.
    fault : str
        "saturated" or "faint" for a flat that must be left out, "truncated" or "growing" for a
        file that is not whole; "" for all others.
    mount : tuple of float or None
        RA and declination in degrees as the mount says them.
    wcs : Tangent or None
        Where the detector really looks, for a science exposure.
    psf : Moffat or None
        The seeing of this exposure.
    airmass : float or None
        Of the field at mid exposure.
    """

    file: str
    kind: str
    exptime_s: float
    start_utc: datetime
    band: str = ""
    field: Field | None = None
    level_adu: float = 0.0
    fault: str = ""
    mount: tuple[float, float] | None = None
    wcs: Tangent | None = None
    psf: Moffat | None = None
    airmass: float | None = None

    @property
    def mid_utc(self) -> datetime:
        """The middle of the exposure."""
        return self.start_utc + timedelta(seconds=self.exptime_s / 2)


def plan_night(params: NightParams) -> list[Planned]:
    """Plan every exposure of the night, in the order they are taken.

    Parameters
    ----------
    params : NightParams
        How many of each kind, and when the night is.

    Returns
    -------
    list of Planned
        Biases, darks, flats by band with falling level, then each field in each band. With
        `params.faults` the last two are the exposures whose files are not whole.
    """
    rng = stream(params, Stream.PLAN)
    science = list(_science(params))
    if params.faults:
        first, last = params.fields[0], params.fields[-1]
        science += [
            _exposure(params, first, params.bands[0], params.bands[0].n_dithers, "truncated"),
            _exposure(params, last, params.bands[1], params.bands[1].n_dithers, "growing"),
        ]
    evening, next_day = params.night, params.night + timedelta(days=1)
    timed = [
        *_timed([*_bias_and_dark(params)], datetime.combine(evening, BIAS_AT, UTC)),
        *_timed([*_flats(params)], datetime.combine(evening, FLATS_AT, UTC)),
        *_timed(science, datetime.combine(next_day, SCIENCE_AT, UTC)),
    ]
    offset = rng.normal(0.0, POINTING_ERROR_ARCSEC, 2)
    return [_point(p, params, offset, rng) if p.field or p.kind == "flat" else p for p in timed]


def _timed(planned: Sequence[Planned], start_utc: datetime) -> Iterator[Planned]:
    for exposure in planned:
        yield replace(exposure, start_utc=start_utc)
        start_utc += timedelta(seconds=exposure.exptime_s) + READOUT


def _later(params: NightParams) -> datetime:
    """Return a start time to be replaced when the exposures are put in order."""
    return datetime.combine(params.night, time(), UTC)


def _bias_and_dark(params: NightParams) -> Iterator[Planned]:
    stamp = f"{params.night:%Y%m%d}"
    for i in range(params.n_bias):
        yield Planned(f"{stamp}-bias-{i + 1:03d}.fits", "bias", 0.0, _later(params))
    for exptime_s in params.dark_exptimes_s:
        for i in range(params.n_dark):
            name = f"{stamp}-dark-{exptime_s:.0f}s-{i + 1:03d}.fits"
            yield Planned(name, "dark", exptime_s, _later(params))


def _flats(params: NightParams) -> Iterator[Planned]:
    for band in params.bands:
        levels = np.geomspace(FLAT_FIRST_ADU, FLAT_LAST_ADU, params.n_flat)
        for i, level in enumerate(levels):
            fault = ""
            if band == params.bands[0] and i == 0:
                level, fault = FLAT_SATURATED_ADU, "saturated"
            elif band == params.bands[-1] and i == params.n_flat - 1:
                level, fault = FLAT_FAINT_ADU, "faint"
            name = f"{params.night:%Y%m%d}-flat-{band.name}-{i + 1:03d}.fits"
            start = _later(params)
            yield Planned(
                name, "flat", FLAT_EXPTIME_S, start, band.name, level_adu=float(level), fault=fault
            )


def _science(params: NightParams) -> Iterator[Planned]:
    for target in params.fields:
        for band in params.bands:
            for i in range(band.n_dithers):
                yield _exposure(params, target, band, i)


def _exposure(params: NightParams, target: Field, band: Band, i: int, fault: str = "") -> Planned:
    slug = target.name.lower().replace(" ", "-")
    name = f"{params.night:%Y%m%d}-{slug}-{band.name}-{i + 1:03d}.fits"
    radius = DITHER_PIX * max(min(params.shape) / 1024, 0.4) * math.sqrt(i)
    arcsec = radius * params.pixel_scale_arcsec
    dec = target.dec_deg + arcsec * math.sin(i * GOLDEN_ANGLE) / 3600
    ra = target.ra_deg + arcsec * math.cos(i * GOLDEN_ANGLE) / 3600 / math.cos(math.radians(dec))
    start = _later(params)
    return Planned(
        name, "science", band.exptime_s, start, band.name, target, fault=fault, mount=(ra, dec)
    )


def _point(
    planned: Planned, params: NightParams, offset_arcsec: Column, rng: np.random.Generator
) -> Planned:
    """Point the telescope: nearly where the mount believes, through the air of the moment."""
    ra, dec = planned.mount or _flat_position(planned, params)
    fwhm = params.fwhm_pix * math.exp(rng.normal(0.0, 0.05))
    east, north = ((offset_arcsec + rng.normal(0.0, 0.7, 2)) / 3600).tolist()
    ny, nx = params.shape
    wcs = Tangent(
        ra_deg=ra + east / math.cos(math.radians(dec)),
        dec_deg=dec + north,
        x0=(nx - 1) / 2,
        y0=(ny - 1) / 2,
        cd=_cd(params.pixel_scale_arcsec / 3600),
    )
    return replace(
        planned,
        mount=(ra, dec),
        wcs=wcs if planned.field else None,
        psf=Moffat(fwhm, params.moffat_beta),
        airmass=airmass_at(ra, dec, planned.mid_utc, params),
    )


def _flat_position(planned: Planned, params: NightParams) -> tuple[float, float]:
    """Return a place near the zenith at dusk; it drifts from frame to frame as the sky turns."""
    seconds = (planned.start_utc - datetime.combine(params.night, FLATS_AT, UTC)).total_seconds()
    return 340.0 + seconds * 15.0 / 3600, params.latitude_deg


def _cd(scale_deg: float) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the matrix of a detector with north nearly up and east to the left."""
    cosine = math.cos(math.radians(ROTATION_DEG)) * scale_deg
    sine = math.sin(math.radians(ROTATION_DEG)) * scale_deg
    return (-cosine, sine), (sine, cosine)
