"""Which plots tell how good a frame's astrometry, zero point and stars are, and their words."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from app.models import Frame
from reduction.photometry.growth import BEST
from reduction.photometry.sourcetable import SourceFacts, SourceTable
from reduction.plots import depth, fwhm_map, growth, residuals, zero_point
from reduction.plots.residuals import Offsets
from reduction.plots.zero_point import ZeroStars

Floats = npt.NDArray[np.float64]
Shape = tuple[int, int]
_MOST_CIRCLES: Final = 12  # of which there may be fluxes
COLUMNS: Final = (
    *("number", "x_pix", "y_pix", "ra_deg", "dec_deg", "mag", "snr", "fwhm_pix", "ellipticity"),
    *("theta_deg", "is_clean", "cat_ra_deg", "cat_dec_deg", "cat_mag", "cat_colour"),
    *("zp_residual_mag", "is_zp_star"),
    *(f"flux_ap_{k + 1}" for k in range(_MOST_CIRCLES)),
)
SIGNAL: Final = 20.0  # of stars that tell a width; the fainter scatter too much
BRIGHT: Final = 50.0  # of those that tell a growth curve
LIKE_A_STAR: Final = (0.6, 1.7)  # times the frame's width
LEAST_STARS: Final = 5  # of a plot


@dataclass(frozen=True, slots=True)
class Plot:
    """A drawing and what to look for in it."""

    name: str
    title: str
    told: str
    svg: str


def plots_of(frame: Frame, table: SourceTable) -> list[Plot]:
    """Return the plots of a frame that its sources allow, those of its place first."""
    stars = table.select(np.argsort(table["number"], kind="stable"))  # the brightest first
    shape = frame.ny, frame.nx
    return [
        *_of_place(stars, shape),
        *_of_zero_point(stars, shape),
        *_of_width(stars, shape),
        *_of_growth(stars),
        *_of_depth(stars, frame.limit_mag),
    ]


def _of_place(stars: SourceTable, shape: Shape) -> Iterator[Plot]:
    clean = stars.select(stars["is_clean"])  # the places of others are doubtful
    offsets = residuals.offsets(
        (clean["x_pix"], clean["y_pix"]),
        (clean["ra_deg"], clean["dec_deg"]),
        (clean["cat_ra_deg"], clean["cat_dec_deg"]),
        clean["number"],
    )
    scale = stars.facts.scale_arcsec
    if scale is not None and len(offsets) >= LEAST_STARS:
        yield _quiver(offsets, shape, stars.facts.catalogue or "the catalogue", scale)
        yield _scatter(offsets, scale)


def _quiver(offsets: Offsets, shape: Shape, catalogue: str, scale: float) -> Plot:
    is_many = len(offsets) > residuals.MOST_ARROWS
    means = "Medians of cells; the strong ones are more than chance. " if is_many else ""
    return Plot(
        "residuals",
        "Astrometric residuals",
        f"From the place in {catalogue} to the one found, {len(offsets):,} clean stars. "
        f"{means}Arrows that go together are what the fit left over.",
        residuals.quiver(offsets, shape, scale),
    )


def _scatter(offsets: Offsets, scale: float) -> Plot:
    rms = offsets.rms_arcsec
    return Plot(
        "scatter",
        "Astrometric scatter",
        f"{rms:.3f}″ ({rms / scale:.2f} pixels) on one axis, robust, of these stars however "
        "faint. A cloud off the cross is a shift, a long one bad tracking or refraction.",
        residuals.target(offsets),
    )


def _of_zero_point(stars: SourceTable, shape: Shape) -> Iterator[Plot]:
    tried = stars.select(np.isfinite(stars["zp_residual_mag"]))
    if len(tried) < LEAST_STARS:
        return
    zero = _zero_stars(tried)
    yield _over_frame(zero, shape)
    yield _by_magnitude(zero, stars.facts)
    if np.count_nonzero(np.isfinite(zero.colour)) >= LEAST_STARS:
        yield _by_colour(zero, stars.facts)


def _zero_stars(tried: SourceTable) -> ZeroStars:
    return ZeroStars(
        number=tried["number"],
        x=tried["x_pix"],
        y=tried["y_pix"],
        mag=tried["cat_mag"],
        colour=tried["cat_colour"],
        residual_mag=tried["zp_residual_mag"],
        is_used=tried["is_zp_star"],
    )


def _over_frame(zero: ZeroStars, shape: Shape) -> Plot:
    return Plot(
        "zero-point-map",
        "Zero point over the frame",
        "Where stars come out too bright or too faint: a flat that does not fit, clouds, or light "
        "that took a wrong way.",
        zero_point.over_frame(zero, shape),
    )


def _by_magnitude(zero: ZeroStars, facts: SourceFacts) -> Plot:
    used = int(np.count_nonzero(zero.is_used))
    return Plot(
        "magnitude",
        "Zero point by magnitude",
        f"{used:,} stars of {facts.light_catalogue} in {facts.light_band}, scatter "
        f"{zero.scatter_mag:.3f} mag; {len(zero) - used} left out (open). "
        "A tilt is a detector that is not linear, or a sky that is not flat.",
        zero_point.against_magnitude(zero),
    )


def _by_colour(zero: ZeroStars, facts: SourceFacts) -> Plot:
    said = "No colour term is fitted; a tilt asks for one."
    if facts.colour_term is not None:
        said = f"The line is the colour term, {facts.colour_term:+.3f}.".replace("-", "−")
    return Plot(
        "colour",
        "Zero point by colour",
        said,
        zero_point.against_colour(zero, facts.colour_name, facts.colour_term),
    )


def _of_width(stars: SourceTable, shape: Shape) -> Iterator[Plot]:
    facts = stars.facts
    if facts.fwhm_pix is None:
        return
    chosen = _like_stars(stars, facts.fwhm_pix)
    if len(chosen) < LEAST_STARS:
        return
    scale = facts.scale_arcsec
    on_sky = f" ({facts.fwhm_pix * scale:.2f}″)" if scale is not None else ""
    yield Plot(
        "fwhm",
        "Width of stars",
        f"Medians of {len(chosen):,} stars; FWHM of the frame {facts.fwhm_pix:.2f} pixels{on_sky}. "
        "Strokes are along what draws stars out. A slope is tilt, a ring focus, strokes all alike "
        "tracking.",
        fwhm_map.fwhm_map(_shapes(chosen), shape),
    )


def _like_stars(stars: SourceTable, fwhm_pix: float) -> SourceTable:
    """Return the bright clean sources that are about as wide as stars."""
    ratio = stars["fwhm_pix"] / fwhm_pix
    good = stars["is_clean"] & (stars["snr"] > SIGNAL)
    return stars.select(good & (ratio > LIKE_A_STAR[0]) & (ratio < LIKE_A_STAR[1]))


def _shapes(stars: SourceTable) -> fwhm_map.StarShapes:
    return fwhm_map.StarShapes(
        x=stars["x_pix"],
        y=stars["y_pix"],
        fwhm_pix=stars["fwhm_pix"],
        ellipticity=stars["ellipticity"],
        theta_rad=np.radians(stars["theta_deg"]),
    )


def _of_growth(stars: SourceTable) -> Iterator[Plot]:
    radii, curve = np.array(stars.facts.radii_pix), np.array(stars.facts.growth)
    if len(radii) <= BEST or np.all(curve == 1):  # no star told it
        return
    shares = _shares(stars, radii)
    yield Plot(
        "growth",
        "Growth curve",
        f"The share of a star's light in circles, from {len(shares):,} bright single stars (thin "
        "lines). Fluxes of small circles are made whole by it.",
        growth.growth_curve(radii, shares, curve, used_pix=float(radii[BEST])),
    )


def _shares(stars: SourceTable, radii_pix: Floats) -> Floats:
    """Return the shares of light in the circles around bright single stars."""
    flux = np.column_stack([stars[f"flux_ap_{k + 1}"] for k in range(len(radii_pix))])
    good = stars["is_clean"] & (stars["snr"] > BRIGHT) & (flux > 0).all(axis=1)
    apart = float(radii_pix[-1] + radii_pix[BEST])
    chosen = growth.telling_stars(stars["x_pix"], stars["y_pix"], good, apart_pix=apart)
    return np.asarray(flux[chosen] / flux[chosen][:, -1:], np.float64)


def _of_depth(stars: SourceTable, limit_mag: float | None) -> Iterator[Plot]:
    if np.count_nonzero(np.isfinite(stars["mag"])) < LEAST_STARS:
        return
    said = "How faint a star it shows is not known."
    if limit_mag is not None:
        said = f"A star of {limit_mag:.2f} mag has five times the noise of its aperture."
    yield Plot(
        "depth",
        "Depth",
        said,
        depth.signal_by_magnitude(stars["mag"], stars["snr"], stars["number"], limit_mag),
    )
