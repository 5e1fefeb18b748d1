"""What a frame's table of sources holds, however it came about: made, or read from a file."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from reduction.refcat.pixels import KEY_ORDER

Column = npt.NDArray[Any]
Rows = npt.NDArray[np.int64] | npt.NDArray[np.bool_] | slice

NO_CELL: Final = -1  # of a source whose place on the sky is not known
HEALPIX_ORDER: Final = KEY_ORDER  # nested, cells of 0.2 arcseconds, by which rows are sorted


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """What holds for all sources of a frame.

    Attributes
    ----------
    radii_pix, growth : tuple of float
        Of the circles of ``flux_ap_1`` and so on, and the share of a star's light in each.
    fwhm_pix : float or None
        Of a star.
    exptime_s : float or None
        Of the frame.
    mid_mjd : float or None
        Middle of the exposure, UTC.
    band, unit : str or None, str
        Of the frame, and of fluxes.
    zero_point_mag, zero_point_error_mag : float or None
        Of one count a second.
    colour_term, colour_name : float or None, str
        That `mag` leaves out, such as ``g-r``.
    catalogue, light_catalogue, light_band : str or None
        The one positions are compared with, the one magnitudes are, and its band.
    scale_arcsec : float or None
        Of a pixel, None where the frame is not solved.
    """

    radii_pix: tuple[float, ...] = ()
    growth: tuple[float, ...] = ()
    fwhm_pix: float | None = None
    exptime_s: float | None = None
    mid_mjd: float | None = None
    band: str | None = None
    unit: str = "adu"
    zero_point_mag: float | None = None
    zero_point_error_mag: float | None = None
    colour_term: float | None = None
    colour_name: str = ""
    catalogue: str | None = None
    light_catalogue: str | None = None
    light_band: str | None = None
    scale_arcsec: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class SourceTable:
    """The sources of a frame, by HEALPix where its place is known, else the brightest first.

    Attributes
    ----------
    columns : mapping of str to array, ``(n,)``
        NaN where a number is not known. As `reduction.photometry.catalogue` makes them:

        ``number``
            Of the source among those of its frame, the brightest is 0.
        ``healpix``
            Nested cell of order `HEALPIX_ORDER`, `NO_CELL` where the frame is not solved.
        ``x_pix, y_pix, error_pix``
            Windowed centroid, counted from 0, and its standard deviation on one axis.
        ``ra_deg, dec_deg, error_arcsec``
            The same on the sky, ICRS; the error is the centroid's, not the solution's.
        ``flux, flux_error``
            All light of a star, in the frame's unit, without that of neighbours, and of uneven sky
            as far as the ring around shows it; where that shows that it is not one star alone, the
            error says how much of it may be of something else.
        ``flux_ap_1, flux_ap_error_1`` ...
            In circles, of `SourceFacts.radii_pix`.
        ``flux_kron, flux_kron_error, kron_radius``
            In ellipses of so many half axes: of galaxies too, and not made up for what is outside.
        ``flux_psf, flux_psf_error, mag_psf, mag_psf_error``
            As of a star, by the point spread function and neighbours at once; NaN where the frame
            tells no such function or too few of a source's pixels are good.
        ``chi2_psf, share_psf, seen_psf``
            Of that fit for each degree of freedom; the share of the light under the source's
            profile that is its own, 1 of one alone; and how much of the light it is fitted by is
            on good pixels, less than 1 beside the edge, masked and saturated ones.
        ``mag, mag_error``
            From `flux` and the zero point at its place; no colour term; the error is the flux's.
        ``kind``
            Of `reduction.photometry.kinds.SourceKind`: what it looks like.
        ``snr, a_pix, b_pix, theta_deg, fwhm_pix, ellipticity``
            Signal to noise and shape; the angle counts from the x axis.
        ``flags, is_blended, is_truncated, is_clean``
            As of `reduction.photometry.detection.Sources`.
        ``cat_ra_deg, cat_dec_deg``
            Of the star of the astrometric catalogue it is, at the frame's epoch.
        ``cat_mag, cat_mag_error, cat_colour``
            Of the star of the photometric one.
        ``zp_residual_mag, is_zp_star, is_wcs_star``
            Catalogue less fit, of stars the zero point was tried with; those it rests on; and
            those the place of the frame does.
    facts : SourceFacts
        Of the frame.
    """

    columns: Mapping[str, Column]
    facts: SourceFacts = SourceFacts()

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()))) if self.columns else 0

    def __getitem__(self, name: str) -> Column:
        return self.columns[name]

    def __contains__(self, name: object) -> bool:
        return name in self.columns

    @property
    def names(self) -> list[str]:
        """The names of the columns, in their order."""
        return list(self.columns)

    def column(self, name: str) -> Column:
        """Return a column, NaN where the table has none: it is older than that."""
        return self[name] if name in self else np.full(len(self), np.nan, np.float32)

    def select(self, rows: Rows) -> Self:
        """Return some of the sources, by a mask, by their numbers, or a slice."""
        return replace(self, columns={name: one[rows] for name, one in self.columns.items()})
