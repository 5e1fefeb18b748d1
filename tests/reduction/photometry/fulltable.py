"""A whole table of sources of a frame that was solved and has a zero point, with known truth."""

from typing import Any

import numpy as np

from reduction.astrometry.wcs import TanSip
from reduction.photometry.kinds import SourceKind
from reduction.photometry.sourcetable import HEALPIX_ORDER, SourceFacts, SourceTable
from reduction.refcat.pixels import nested_of

RADII = np.array([2.0, 3.0, 4.5, 6.0, 9.0, 12.0])
GROWTH = np.array([0.55, 0.78, 0.92, 0.965, 0.99, 1.0])
SHIFT_PIX = (0.10, -0.05)  # found less catalogue
ZERO_SCATTER_MAG = 0.01
FWHM_PIX = 3.0


def full_table(
    wcs: TanSip, shape: tuple[int, int], n: int = 100, *, name: str = "demo", seed: int = 1
) -> SourceTable:
    """Return `n` stars; every tenth is in no catalogue, and the second an outlier of the fit."""
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(5, shape[1] - 6, n), rng.uniform(5, shape[0] - 6, n)
    mag = np.sort(rng.uniform(12, 19, n))
    is_known = np.arange(n) % 10 != 9
    columns: dict[str, Any] = {
        "number": np.arange(n, dtype=np.int32),
        "kind": np.where(np.arange(n) == 7, SourceKind.WIDE, SourceKind.STAR).astype(np.uint8),
        **_places(wcs, x, y, is_known),
        **_light(mag, rng),
        "fwhm_pix": rng.normal(FWHM_PIX, 0.05, n),
        "ellipticity": np.full(n, 0.1),
        "theta_deg": np.full(n, 45.0),
        "flags": np.where(np.arange(n) == 3, 2, 0).astype(np.uint16),
        "is_blended": np.arange(n) == 5,
        "is_truncated": np.zeros(n, np.bool_),
        "is_clean": ~np.isin(np.arange(n), (3, 5)),
        "cat_mag": np.where(is_known, mag, np.nan),
        "cat_colour": np.where(is_known, rng.uniform(0.2, 1.5, n), np.nan),
        **_zero_point(mag, is_known, rng),
    }
    facts = SourceFacts(
        radii_pix=tuple(RADII),
        growth=tuple(GROWTH),
        fwhm_pix=FWHM_PIX,
        exptime_s=30.0,
        band="r",
        zero_point_mag=22.0,
        colour_term=0.05,
        colour_name="g-r",
        catalogue=name,
        light_catalogue=name,
        light_band="r",
        scale_arcsec=wcs.scale_arcsec,
    )
    return SourceTable(columns, facts).select(np.argsort(columns["healpix"], kind="stable"))


def _places(wcs: TanSip, x: Any, y: Any, is_known: Any) -> dict[str, Any]:
    ra, dec = wcs.sky(x, y)
    cat_ra, cat_dec = wcs.sky(x - SHIFT_PIX[0], y - SHIFT_PIX[1])
    return {
        "healpix": nested_of(ra, dec, HEALPIX_ORDER),
        "ra_deg": ra,
        "dec_deg": dec,
        "x_pix": x,
        "y_pix": y,
        "cat_ra_deg": np.where(is_known, cat_ra, np.nan),
        "cat_dec_deg": np.where(is_known, cat_dec, np.nan),
    }


def _light(mag: Any, rng: np.random.Generator) -> dict[str, Any]:
    n = len(mag)
    total = 30.0 * 10 ** (-0.4 * (mag - 22.0))
    light = {"mag": mag, "mag_error": np.full(n, 0.01), "flux": total, "snr": total / 100.0}
    light |= {"mag_psf": mag + 0.002, "mag_psf_error": np.full(n, 0.008)}
    light |= {"share_psf": np.where(np.arange(n) == 5, 0.6, 1.0)}
    for k, share in enumerate(GROWTH):
        noise = rng.normal(0, 0.005, n) if share < 1 else 0.0
        light[f"flux_ap_{k + 1}"] = total * (share + noise)
    return light


def _zero_point(mag: Any, is_known: Any, rng: np.random.Generator) -> dict[str, Any]:
    residual = rng.normal(0, ZERO_SCATTER_MAG, len(mag))
    residual[1] = 0.7
    tried = is_known & (mag < 18)
    return {
        "zp_residual_mag": np.where(tried, residual, np.nan),
        "is_zp_star": tried & (np.arange(len(mag)) != 1),
    }
