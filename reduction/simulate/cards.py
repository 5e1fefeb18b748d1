"""The headers a telescope-control PC would write.

This is the other side of header translation: the simulator stands for a foreign program, so it
spells its own keywords and shares none with `reduction.headers`.
"""

from datetime import datetime

import numpy as np
from astropy.io import fits

from reduction.simulate.params import NightParams
from reduction.simulate.plan import Planned

IMAGETYP = {"bias": "BIAS", "dark": "DARK", "flat": "SKYFLAT", "science": "LIGHT"}
TEMPERATURE_C = -20.0
PIXEL_SIZE_UM = 13.5


def raw_header(planned: Planned, params: NightParams, *, temperature_c: float) -> fits.Header:
    """Write the header of one raw frame.

    Parameters
    ----------
    planned : Planned
        The exposure.
    params : NightParams
        The camera and the site.
    temperature_c : float
        Of the detector during the exposure.

    Returns
    -------
    Header
        Without the structural cards, which the file's writer adds.
    """
    header = fits.Header()
    header["IMAGETYP"] = (IMAGETYP[planned.kind], "type of exposure")
    header["OBJECT"] = (planned.field.name if planned.field else planned.kind, "target")
    header["EXPTIME"] = (planned.exptime_s, "[s] exposure time")
    header["DATE-OBS"] = (_iso(planned.start_utc), "UTC start of exposure")
    header["TIMESYS"] = ("UTC", "time system")
    if planned.band:
        header["FILTER"] = (planned.band, "filter in the beam")
    _camera_cards(header, params, temperature_c)
    _site_cards(header, params)
    if planned.mount and planned.airmass:
        ra, dec = planned.mount
        header["RA"] = (_sexagesimal(ra / 15, 2), "[h:m:s] mount, ICRS")
        header["DEC"] = (f"{_sexagesimal(dec, 1, signed=True)}", "[d:m:s] mount, ICRS")
        header["RADESYS"] = ("ICRS", "frame of RA and DEC")
        header["AIRMASS"] = (round(planned.airmass, 4), "at mid exposure")
    if planned.field:
        header["PROPID"] = (planned.field.proposal, "proposal")
    header["OBSERVER"] = ("Demo Observer", "who was there")
    header["SWCREATE"] = ("Coelostat simulator", "program that wrote this file")
    return header


def _camera_cards(header: fits.Header, params: NightParams, temperature_c: float) -> None:
    ny, nx = params.shape
    header["INSTRUME"] = ("SimCam 1k", "camera")
    header["TELESCOP"] = ("Demo 60 cm", "telescope")
    header["READOUTM"] = ("1 MHz", "read-out mode")
    header["XBINNING"] = (1, "pixels along x")
    header["YBINNING"] = (1, "pixels along y")
    header["BIASSEC"] = (f"[{nx + 1}:{nx + params.overscan},1:{ny}]", "overscan")
    header["TRIMSEC"] = (f"[1:{nx},1:{ny}]", "light-sensitive pixels")
    header["EGAIN"] = (params.gain_e_per_adu, "[e-/ADU] gain")
    header["RDNOISE"] = (params.read_noise_e, "[e-] read noise")
    header["SATURATE"] = (params.saturation_adu, "[ADU] saturation level")
    header["SET-TEMP"] = (TEMPERATURE_C, "[degC] wanted")
    header["CCD-TEMP"] = (round(temperature_c, 2), "[degC] at the start")
    header["XPIXSZ"] = (PIXEL_SIZE_UM, "[um] pixel size")
    header["YPIXSZ"] = (PIXEL_SIZE_UM, "[um] pixel size")
    focal_mm = 206.26480625 * PIXEL_SIZE_UM / params.pixel_scale_arcsec
    header["FOCALLEN"] = (round(focal_mm, 1), "[mm] focal length")


def _site_cards(header: fits.Header, params: NightParams) -> None:
    header["SITELAT"] = (params.latitude_deg, "[deg] north positive")
    header["SITELONG"] = (params.longitude_deg, "[deg] east positive")
    header["SITEELEV"] = (params.elevation_m, "[m]")


def _iso(when: datetime) -> str:
    return when.replace(tzinfo=None).isoformat(timespec="milliseconds")


def _sexagesimal(value: float, digits: int, *, signed: bool = False) -> str:
    """Spell hours or degrees with colons, rounding before splitting so that 60 never appears."""
    total = round(abs(value) * 3600, digits)
    whole, seconds = divmod(total, 60)
    major, minutes = divmod(int(whole), 60)
    sign = ("-" if np.signbit(value) else "+") if signed else ""
    return f"{sign}{major:02d}:{minutes:02d}:{seconds:0{digits + 3}.{digits}f}"
