"""Finding where a frame points: a match with a local catalogue, a fit, and its proof."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from reduction.astrometry.chance import (
    LARGEST,
    N_FIT,
    SPENT_BY_PAIR,
    SPENT_BY_QUAD,
    log10_chance,
)
from reduction.astrometry.matching import (
    WIDENING,
    Effort,
    Similarity,
    Step,
    Trials,
    trial_similarities,
)
from reduction.astrometry.platefit import LEAST_ERROR_PIX, Bend, Fit, Matches, Plate, scatter
from reduction.astrometry.solution import Pointing, SkyList, Solution, StarList, UnsolvedError
from reduction.astrometry.tangent import to_plane, to_sky
from reduction.astrometry.wcs import TanSip, fit_tan_sip
from reduction.refcat.geometry import separations_deg

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
LEAST_STARS: Final = 6  # of a frame, below which nothing can be proved
LEAST_MATCHES: Final = 5
MOST_CATALOGUE: Final = 60_000
# On the way from a trial to a fit: radius of the match in pixels, order of the fit that follows.
ROUNDS: Final = ((8.0, 1), (6.0, 2), (6.0, 3), (6.0, 3), (4.0, 3), (2.5, 3))
N_ROUNDS: Final = 150  # brightest stars that are matched on the way
DEPTH: Final = 3.0  # catalogue stars on the frame for each of these
LAST_ROUNDS: Final = 6  # at most, until no more stars match
LAST_RADIUS: Final = 4.0  # times the scatter
SMALLEST_RADIUS_PIX: Final = 1.0
LARGEST_RADIUS_PIX: Final = 2.5
MOST_SHEAR: Final = 0.03
MOST_SCATTER_PIX: Final = 2.0
LEAST_SHARE: Final = 0.25  # of the brightest stars looked up; a frame is more than its middle
N_SHARE: Final = 60
RIM: Final = 1.1  # of the half diagonal, within which catalogue stars may be on the frame


def solve(
    stars: StarList,
    catalogue: SkyList,
    pointing: Pointing,
    steps: Sequence[Step] = WIDENING,
) -> Solution:
    """Find where a frame points, from a rough pointing and scale.

    The hints are believed at first and widened step by step. A match counts only if the stars
    that were left out of a fit are found where it puts them, more often than chance would in as
    many trials.

    Parameters
    ----------
    stars : StarList
        What was detected; a fifth of it may be spurious or missing in the catalogue.
    catalogue : SkyList
        Of all the sky within twice the pointing's radius and the frame's half diagonal.
    pointing : Pointing
        Hints.
    steps : sequence of Step
        What is tried, in turn.

    Returns
    -------
    Solution
        With the matches and residuals.

    Raises
    ------
    UnsolvedError
        With its cause.
    """
    check_stars(stars)
    _check_catalogue(catalogue)
    case = _Case(stars, catalogue, pointing)
    believed = pointing.ra_deg, pointing.dec_deg
    away = separations_deg(catalogue.ra_deg, catalogue.dec_deg, *believed)
    tried = 0
    for widening, scale_error, effort in steps:
        reach = widening * pointing.radius_deg + case.half_diagonal_deg
        near = np.flatnonzero(away <= reach)[:MOST_CATALOGUE]
        trials = case.search(near, scale_error, effort)
        tried += trials.n_tried
        for trial in trials.best:
            found = case.proved(trial, near, tried)
            if found is not None:
                return found
    raise UnsolvedError(
        "no_match",
        f"none of {tried} trials matched the {len(stars.x)} stars of this frame with the "
        f"catalogue within {2 * pointing.radius_deg:.2f} degrees of its pointing: is the scale of "
        f"{pointing.scale_arcsec:.3f} arcsec a pixel right, and the frame neither trailed nor "
        "out of focus?",
    )


def prove(
    stars: StarList, catalogue: SkyList, pointing: Pointing, trial: Similarity, *, n_tried: int
) -> Solution | None:
    """Return the solution a place leads to that was found otherwise, None if it is not proved.

    Parameters
    ----------
    stars : StarList
        What was detected.
    catalogue : SkyList
        Of all the sky the frame would be on.
    pointing : Pointing
        The place and its scale.
    trial : Similarity
        From the frame, about its middle, to the plane at the place, in pixels.
    n_tried : int
        Places that chance had to be right.
    """
    if min(len(stars.x), len(catalogue.ra_deg)) < LEAST_STARS:
        return None
    near = np.arange(len(catalogue.ra_deg))
    case = _Case(stars, catalogue, pointing, spent=SPENT_BY_QUAD)
    return case.proved(trial, near, n_tried)


def check_stars(stars: StarList) -> None:
    """Refuse a frame that shows too little.

    Raises
    ------
    UnsolvedError
        ``no_stars`` or ``too_few``.
    """
    if not len(stars.x):
        raise UnsolvedError("no_stars", "no stars were detected: clouds, or a closed dome?")
    if len(stars.x) < LEAST_STARS:
        raise UnsolvedError(
            "too_few",
            f"only {len(stars.x)} stars were detected, and {LEAST_STARS} are needed to be sure: "
            "expose longer, or add a solved frame of the same field",
        )


def _check_catalogue(catalogue: SkyList) -> None:
    if len(catalogue.ra_deg) < LEAST_STARS:
        raise UnsolvedError(
            "not_covered",
            "the local catalogue has no stars around this pointing: load one that covers it",
        )


def _middle(shape: tuple[int, int]) -> tuple[float, float]:
    return (shape[1] - 1) / 2, (shape[0] - 1) / 2


@dataclass(frozen=True, slots=True)
class _Case:
    """A frame's stars about its middle, the catalogue, and what is believed."""

    stars: StarList
    catalogue: SkyList
    pointing: Pointing
    spent: int = SPENT_BY_PAIR

    @property
    def scale_deg(self) -> float:
        return self.pointing.scale_arcsec / 3600

    @property
    def half_diagonal_deg(self) -> float:
        return float(np.hypot(*self.stars.shape)) / 2 * self.scale_deg

    @property
    def offsets(self) -> tuple[Floats, Floats]:
        x0, y0 = _middle(self.stars.shape)
        return self.stars.x - x0, self.stars.y - y0

    def plane(self, which: Indices, centre: tuple[float, float]) -> Floats:
        """Return standard coordinates of catalogue stars, in pixels of the scale believed in."""
        sky = self.catalogue.ra_deg[which], self.catalogue.dec_deg[which]
        return np.column_stack(to_plane(*sky, centre)) / self.scale_deg

    def search(self, near: Indices, scale_error: float, effort: Effort) -> Trials:
        """Return the similarities worth a closer look."""
        if len(near) < LEAST_STARS or len(self.stars.x) < effort.skip + LEAST_STARS:
            return Trials([], 0)
        plane = self.plane(near, (self.pointing.ra_deg, self.pointing.dec_deg))
        return trial_similarities(
            self.offsets, plane, shape=self.stars.shape, scale_error=scale_error, effort=effort
        )

    def proved(self, trial: Similarity, near: Indices, n_tried: int) -> Solution | None:
        """Return the solution a trial leads to, None if it leads to none that can be believed."""
        centre, matrix = self._about_own_centre(trial)
        away = separations_deg(self.catalogue.ra_deg[near], self.catalogue.dec_deg[near], *centre)
        stretch = float(np.hypot(trial.a, trial.b))
        around = near[away < RIM * stretch * self.half_diagonal_deg]
        if len(around) < LEAST_MATCHES:
            return None
        plate = Plate(*self.offsets, self.stars.error_pix, self.plane(around, centre))
        matches, fit = _closed_in(plate, plate.guess(matrix, np.zeros(2)))
        if fit is None or not _is_plausible(fit):
            return None
        # A catalogue that ends beside the frame is denser on it than around it.
        disc = np.pi * (RIM * np.hypot(*self.stars.shape) / 2) ** 2
        density = max(len(around) / disc, plate.density(fit.coefficients))
        return self._concluded(matches, fit, (centre, around), (density, n_tried))

    def _about_own_centre(self, trial: Similarity) -> tuple[tuple[float, float], Floats]:
        """Return the middle of the frame a trial says, and its matrix about that place.

        Away from the pointing north is elsewhere, near the poles by a lot.
        """
        believed = self.pointing.ra_deg, self.pointing.dec_deg
        reach = np.hypot(*self.stars.shape) / 2
        steps = np.array([[0.0, 0.0], [reach, 0.0], [0.0, reach]])
        plane = (steps @ trial.matrix.T + (trial.dx, trial.dy)) * self.scale_deg
        ra, dec = to_sky(plane[:, 0], plane[:, 1], believed)
        centre = float(ra[0]), float(dec[0])
        there = np.column_stack(to_plane(ra, dec, centre)) / self.scale_deg
        return centre, (there[1:] - there[0]).T / reach

    def _concluded(
        self,
        matches: Matches,
        fit: Fit,
        at: tuple[tuple[float, float], Indices],
        by_chance: tuple[float, int],
    ) -> Solution | None:
        """Return the solution if the stars left out of the fit prove it."""
        (centre, around), (density, n_tried) = at, by_chance
        radius_pix = _last_radius(fit)
        is_there = np.hypot(*fit.held_out.T) <= radius_pix
        rms = scatter(fit.held_out)
        filled = density * radius_pix**2
        chance = log10_chance(
            matches.here[is_there], (len(self.stars.x), self.spent), filled, n_tried
        )
        if chance > np.log10(LARGEST) or rms > MOST_SCATTER_PIX:
            return None
        wcs = self._final(matches, around, centre, fit.bend)
        there = around[matches.there]
        x, y = wcs.pixel(self.catalogue.ra_deg[there], self.catalogue.dec_deg[there])
        rx, ry = self.stars.x[matches.here] - x, self.stars.y[matches.here] - y
        return Solution(
            wcs=wcs,
            stars=matches.here,
            catalogue=there,
            residual_x_pix=rx,
            residual_y_pix=ry,
            rms_pix=scatter(np.concatenate([rx, ry])),
            held_out_rms_pix=rms,
            held_out_matches=int(is_there.sum()),
            log10_chance=chance,
        )

    def _final(
        self, matches: Matches, around: Indices, centre: tuple[float, float], bend: Bend
    ) -> TanSip:
        here, there = matches.here, around[matches.there]
        return fit_tan_sip(
            (self.stars.x[here], self.stars.y[here]),
            (self.catalogue.ra_deg[there], self.catalogue.dec_deg[there]),
            1 / np.maximum(self.stars.error_pix[here], LEAST_ERROR_PIX) ** 2,
            start=TanSip(centre, _middle(self.stars.shape), np.eye(2) * self.scale_deg),
            order=bend.order,
            is_radial=bend.is_radial,
        )


def _closed_in(plate: Plate, coefficients: Floats) -> tuple[Matches, Fit | None]:
    """Match closer and closer, with more and more freedom; no fit where too few stars match."""
    bright = plate.brightest(int(DEPTH * max(N_ROUNDS, LEAST_STARS)))
    matches, fit = Matches.none(), None
    for radius_pix, order in ROUNDS:
        matches = bright.match(coefficients, radius_pix, N_ROUNDS)
        if len(matches) < LEAST_MATCHES:
            return matches, None
        fit = bright.fit(matches, order, may_stretch=order > 1)
        coefficients = fit.coefficients
    for _ in range(LAST_ROUNDS):
        n_before = len(matches)
        matches = plate.match(coefficients, _last_radius(fit), N_FIT)
        if len(matches) < LEAST_MATCHES:
            return matches, None
        fit = plate.best_fit(matches)
        coefficients = fit.coefficients
        if len(matches) <= n_before:
            break
    is_whole = fit is not None and _share(plate, matches, fit) >= LEAST_SHARE
    return matches, fit if is_whole else None


def _share(plate: Plate, matches: Matches, fit: Fit) -> float:
    """Return how many of the brightest stars match, of the frame's or of the catalogue's there.

    A catalogue may lack the brightest of the frame, or hold few stars; a frame may be shallow.
    """
    of_frame = min(len(plate.x), N_SHARE)
    found = np.count_nonzero(matches.here < of_frame) / of_frame
    on_frame = plate.on_frame(fit.coefficients)[:N_SHARE]
    known = np.isin(on_frame, matches.there)
    return max(found, float(known.mean()) if len(known) else 0.0)


def _last_radius(fit: Fit | None) -> float:
    if fit is None:
        return LARGEST_RADIUS_PIX
    radius = LAST_RADIUS * scatter(fit.residuals)
    return max(SMALLEST_RADIUS_PIX, min(radius, LARGEST_RADIUS_PIX))


def _is_plausible(fit: Fit) -> bool:
    """Tell whether the axes are nearly equal and at right angles."""
    stretches = np.linalg.svd(fit.coefficients[1:3], compute_uv=False)
    return bool(stretches[0] < (1 + MOST_SHEAR) * stretches[1])
