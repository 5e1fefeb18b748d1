"""Tables of one image: its objects, its targets and the catalogue's stars, under STDWeb's names."""

import io
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.table import Column, Table

from reduction.oneimage.apertures import Light
from reduction.oneimage.calibration import Calibration, Magnitudes
from reduction.oneimage.objects import Objects
from reduction.oneimage.starlist import StarList, column_of

Columns = Mapping[str, npt.NDArray[Any]]
Floats = npt.NDArray[np.float64]
UNITS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("ra", "dec", "theta", "RAJ2000", "DEJ2000"), "deg"),
    **dict.fromkeys(("x", "y", "xerr", "yerr", "a", "b", "fwhm", "FLUX_RADIUS"), "pix"),
    **dict.fromkeys(
        ("mag", "magerr", "mag_calib", "mag_calib_err", "mag_limit", "MAG_AUTO"), "mag"
    ),
}
DESCRIPTIONS: Final[Mapping[str, str]] = {
    "mag": "instrumental, of all of a star's light: -2.5 log10(flux)",
    "flux": "in the aperture, brought to all of a star's light",
    "mag_calib": "with the zero point of the place, for a star of colour 0",
    "mag_calib_err": "of flux and zero point",
    "mag_limit": "of a star at the signal to noise asked for",
    "bg_local": "of a pixel in the ring around, above the background of the image",
    "bg_fluxerr": "what the aperture would scatter by without the object",
    "npix_aper": "good pixels of the aperture",
    "x": "column, counted from 0 at the centre of the first pixel",
    "y": "row, counted from 0 at the centre of the first pixel",
    "flags": "2 deblended, 4 saturated, 8 cut by the edge, 256 masked pixels in the footprint, "
    "512 in the aperture, 1024 in most of the ring, 2048 odd shape",
    "mag_color_term": "catalogue = mag_calib + mag_color_term * colour",
}


def object_columns(
    objects: Objects,
    found: Magnitudes,
    sky: tuple[Floats, Floats],
    calibration: Calibration | None,
) -> dict[str, npt.NDArray[Any]]:
    """Return the table of an image's objects, the brightest first.

    Parameters
    ----------
    objects : Objects
        What was found.
    found : Magnitudes
        Of them.
    sky : tuple of float arrays
        Right ascension and declination, NaN where the image has no place.
    calibration : Calibration or None
        What the magnitudes rest on; None leaves its columns out.
    """
    sources, light, n = objects.sources, objects.light, len(objects)
    with np.errstate(divide="ignore", invalid="ignore"):
        auto = np.where(objects.auto_flux > 0, -2.5 * np.log10(objects.auto_flux), np.nan)
    columns: dict[str, npt.NDArray[Any]] = {
        "mag": found.mag,
        "magerr": found.error,
        "flux": light.flux,
        "fluxerr": light.error,
        "x": sources.x,
        "y": sources.y,
        "xerr": sources.error_pix,
        "yerr": sources.error_pix,
        "a": sources.a_pix,
        "b": sources.b_pix,
        "theta": np.degrees(sources.theta_rad),
        "FLUX_RADIUS": objects.half_light_pix,
        "fwhm": sources.fwhm_pix,
        "flags": objects.flags,
        "bg": objects.level,
        "NUMBER": np.arange(1, n + 1),
        "MAG_AUTO": auto,
        "ISOAREA_IMAGE": objects.area_pix,
        "FLUX_MAX": objects.peak,
        "FLUX_AUTO": objects.auto_flux,
        "ra": sky[0],
        "dec": sky[1],
        "bg_local": light.sky,
        "npix_aper": light.n_pixels,
        "bg_fluxerr": light.sky_error,
    }
    return columns | _calibrated(found, n, calibration)


def target_columns(
    places: tuple[Floats, Floats],
    sky: tuple[Floats, Floats],
    light: Light,
    found: Magnitudes,
    limits: tuple[Floats, Calibration | None],
) -> dict[str, npt.NDArray[Any]]:
    """Return the table of what was measured at an image's targets, in their order.

    Parameters
    ----------
    places, sky : tuple of float arrays, ``(n,)``
        Pixels, and right ascension and declination.
    light : Light
        Measured there.
    found : Magnitudes
        Of it.
    limits : tuple
        Faintest magnitudes that would have been seen there, and what they rest on.
    """
    limit, calibration = limits
    columns: dict[str, npt.NDArray[Any]] = {
        "ra": sky[0],
        "dec": sky[1],
        "x": places[0],
        "y": places[1],
        "flags": light.flags,
        "bg_local": light.sky,
        "npix_aper": light.n_pixels,
        "bg_fluxerr": light.sky_error,
        "flux": light.flux,
        "fluxerr": light.error,
        "mag": found.mag,
        "magerr": found.error,
    }
    told = _calibrated(found, len(limit), calibration)
    before = {name: told.pop(name) for name in ("mag_calib", "mag_calib_err") if name in told}
    return columns | before | ({"mag_limit": limit} if told else {}) | told


def _calibrated(
    found: Magnitudes, n: int, calibration: Calibration | None
) -> dict[str, npt.NDArray[Any]]:
    if calibration is None:
        return {}
    stars, zero = calibration.stars, calibration.zero
    first, second = (
        stars.colour_bands if calibration.has_colour and stars.colour_bands else ("", "")
    )
    return {
        "mag_calib": found.calibrated,
        "mag_calib_err": found.calibrated_error,
        "mag_filter_name": np.full(n, stars.band),
        "mag_color_name": np.full(n, f"{first} - {second}" if first else ""),
        "mag_color_term": np.full(n, zero.colour_term or 0.0),
    }


def star_columns(stars: StarList) -> dict[str, npt.NDArray[Any]]:
    """Return the catalogue's stars that were asked for, with all its magnitudes."""
    columns: dict[str, npt.NDArray[Any]] = {"RAJ2000": stars.ra_deg, "DEJ2000": stars.dec_deg}
    for band, mags in stars.mags.items():
        columns[column_of(band)] = mags
        if band in stars.errors:
            columns[f"e_{column_of(band)}"] = stars.errors[band]
    return columns


def parquet_bytes(columns: Columns) -> bytes:
    """Return a table as a Parquet file."""
    fields = {name: pa.array(_plain(values)) for name, values in columns.items()}
    out = io.BytesIO()
    pq.write_table(pa.table(fields), out, compression="zstd")
    return out.getvalue()


def votable_bytes(columns: Columns) -> bytes:
    """Return a table as a VOTable, with units and what its columns mean."""
    table = Table(
        [
            Column(
                _plain(values),
                name=name,
                unit=UNITS.get(name),
                description=DESCRIPTIONS.get(name),
            )
            for name, values in columns.items()
        ]
    )
    out = io.BytesIO()
    table.write(out, format="votable")
    return out.getvalue()


def _plain(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return values in a type that readers of both kinds of file know."""
    if values.dtype.kind in "iu":
        return values.astype(np.int64)
    if values.dtype.kind == "f":
        return values.astype(np.float64)
    return values.astype(str)
