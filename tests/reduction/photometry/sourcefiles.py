"""Files of sources that were never on a frame: as many and wherever a test wants them."""

from pathlib import Path

import numpy as np

from reduction.astrometry.wcs import TanSip
from reduction.photometry import parquet
from reduction.photometry.catalogue import Floats
from reduction.photometry.kinds import SourceKind
from reduction.photometry.sourcetable import HEALPIX_ORDER, Column, SourceFacts, SourceTable
from reduction.refcat.pixels import nested_of

SHAPE = (300, 400)
_KNOWN = (
    *("error_arcsec", "error_pix", "mag_error", "flux", "flux_error", "snr", "fwhm_pix"),
    *("flux_ap_1", "flux_ap_error_1", "flux_ap_2", "flux_ap_error_2"),
    *("flux_kron", "flux_kron_error", "kron_radius"),
    *("flux_psf", "flux_psf_error", "mag_psf_error", "chi2_psf", "share_psf", "seen_psf"),
    *("a_pix", "b_pix", "theta_deg"),
)
_UNKNOWN = ("ellipticity", "cat_mag", "cat_mag_error", "cat_colour", "zp_residual_mag")
_FALSE = ("is_blended", "is_truncated", "is_zp_star", "is_wcs_star")


def frame_at(
    place: tuple[float, float],
    *,
    width_deg: float = 0.4,
    angle_deg: float = 30.0,
    flip: float = 1.0,
) -> TanSip:
    """Return where a frame of `SHAPE` lies that is centred on a place."""
    cos, sin = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    cd = width_deg / SHAPE[1] * np.array([[-cos, sin], [sin, cos]]) @ np.diag([flip, 1.0])
    return TanSip(place, ((SHAPE[1] - 1) / 2, (SHAPE[0] - 1) / 2), cd)


def table_of(
    wcs: TanSip, x: Floats, y: Floats, *, mags: Floats | None = None, band: str = "r"
) -> SourceTable:
    """Return a table with every column there is, of sources at some pixels."""
    ra, dec = wcs.sky(x, y)
    n = len(x)
    columns: dict[str, Column] = {
        "number": np.arange(n, dtype=np.int32),
        "healpix": nested_of(ra, dec, HEALPIX_ORDER),
        "ra_deg": ra,
        "dec_deg": dec,
        "x_pix": x,
        "y_pix": y,
        "flags": np.zeros(n, np.uint16),
        "is_clean": np.ones(n, np.bool_),
        "mag": np.asarray(np.full(n, 18.0) if mags is None else mags, np.float32),
        "mag_psf": np.asarray(np.full(n, 18.0) if mags is None else mags, np.float32),
        "kind": np.full(n, SourceKind.STAR, np.uint8),
    }
    columns |= {name: np.full(n, 0.5, np.float32) for name in _KNOWN}
    columns |= {name: np.full(n, np.nan, np.float32) for name in _UNKNOWN}
    columns |= {name: np.full(n, np.nan) for name in ("cat_ra_deg", "cat_dec_deg")}
    columns |= {name: np.zeros(n, np.bool_) for name in _FALSE}
    table = SourceTable(columns, SourceFacts(radii_pix=(3.0, 6.0), band=band, exptime_s=30.0))
    return table.select(np.argsort(columns["healpix"], kind="stable"))


def of_before(table: SourceTable) -> SourceTable:
    """Return a table as it was written before there were PSF fluxes and kinds."""
    older = {name: one for name, one in table.columns.items() if "psf" not in name}
    del older["kind"]
    return SourceTable(older, table.facts)


def write(path: Path, table: SourceTable) -> Path:
    """Write a table where a test wants it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(parquet.packed(table))
    return path
