"""Finding where a frame points: a match with a local catalogue, a fit, and its proof."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.stats import binom

from reduction.astrometry.matching import Effort, Similarity, Trials, trial_similarities
from reduction.astrometry.platefit import LEAST_ERROR_PIX, Fit, Matches, Plate, scatter
from reduction.astrometry.tangent import to_plane, to_sky
from reduction.astrometry.wcs import TanSip, fit_tan_sip
from reduction.refcat.geometry import separations_deg

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
LEAST_STARS: Final = 6  # of a frame, below which nothing can be proved
LEAST_MATCHES: Final = 5
QUICK: Final = Effort(n_bright=14, pair_depth=0.5, most_in_pairs=400, enough=0.5)
THOROUGH: Final = Effort(n_bright=30, pair_depth=1.0, most_in_pairs=1200, enough=2.0)
SPREAD: Final = replace(THOROUGH, is_spread=True)
# What is tried, in turn: times the pointing's radius, error of the scale, effort.
WIDENING: Final = (
    (1.0, 0.02, QUICK),
    (1.0, 0.02, SPREAD),
    (1.0, 0.02, THOROUGH),
    (1.0, 0.02, replace(SPREAD, skip=30)),
    (1.0, 0.02, replace(THOROUGH, skip=100)),
    (1.0, 0.10, SPREAD),
    (2.0, 0.02, SPREAD),
    (2.0, 0.35, SPREAD),
)
MOST_CATALOGUE: Final = 60_000
# On the way from a trial to a fit: radius of the match in pixels, order of the fit that follows.
ROUNDS: Final = ((8.0, 1), (6.0, 2), (6.0, 3), (6.0, 3), (4.0, 3), (2.5, 3))
N_ROUNDS: Final = 150  # brightest stars that are matched on the way
DEPTH: Final = 3.0  # catalogue stars on the frame for each of these
N_FIT: Final = 4000  # stars that are matched at the end
LAST_ROUNDS: Final = 6  # at most, until no more stars match
LAST_RADIUS: Final = 4.0  # times the scatter
SMALLEST_RADIUS_PIX: Final = 1.0
LARGEST_RADIUS_PIX: Final = 2.5
CHANCE: Final = 1e-9  # a solution that chance gives more often is none
LEAST_LOG10: Final = -300.0  # of a probability that a number can still hold
MOST_SHEAR: Final = 0.03
MOST_SCATTER_PIX: Final = 2.0
LEAST_SHARE: Final = 0.25  # of the brightest stars looked up; a frame is more than its middle
PREFIXES: Final = (40, 120, 400)  # brightest stars that are weighed alone
N_SHARE: Final = 60
RIM: Final = 1.1  # of the half diagonal, within which catalogue stars may be on the frame


@dataclass(frozen=True, slots=True)
class StarList:
    """Stars of a frame, the brightest first.

    Attributes
    ----------
    x, y : float arrays, ``(n,)``
        Positions, pixels, counted from 0.
    error_pix : float array, ``(n,)``
        Standard deviation of the position on one axis.
    shape : tuple of int
        Rows and columns of the frame.
    """

    x: Floats
    y: Floats
    error_pix: Floats
    shape: tuple[int, int]


@dataclass(frozen=True, slots=True)
class SkyList:
    """Stars of a catalogue at the frame's epoch, the brightest first, degrees."""

    ra_deg: Floats
    dec_deg: Floats


@dataclass(frozen=True, slots=True)
class Pointing:
    """Where a frame is believed to point.

    Attributes
    ----------
    ra_deg, dec_deg : float
        Of its middle.
    scale_arcsec : float
        A pixel.
    radius_deg : float
        How far its middle may be from there; the search widens it to twice that by itself.
    """

    ra_deg: float
    dec_deg: float
    scale_arcsec: float
    radius_deg: float


@dataclass(frozen=True, slots=True)
class Solution:
    """A frame's place on the sky, proved.

    Attributes
    ----------
    wcs : TanSip
        The fit to all matched stars.
    stars, catalogue : integer arrays, ``(n,)``
        Which star of the frame is which of the catalogue.
    residual_x_pix, residual_y_pix : float arrays, ``(n,)``
        Position in the frame less that predicted from the catalogue.
    rms_pix : float
        Of these on one axis.
    held_out_rms_pix : float
        The same for stars when they were left out of the fit.
    held_out_matches : int
        Stars found within a few sigma of where a fit without them puts them.
    log10_chance : float
        Logarithm of how often chance would match as many, all trials counted.
    """

    wcs: TanSip
    stars: Indices
    catalogue: Indices
    residual_x_pix: Floats
    residual_y_pix: Floats
    rms_pix: float
    held_out_rms_pix: float
    held_out_matches: int
    log10_chance: float


class UnsolvedError(Exception):
    """A frame could not be placed on the sky.

    Parameters
    ----------
    cause : str
        ``no_stars``, ``too_few``, ``not_covered`` or ``no_match``.
    message : str
        What was wrong, and what to do.
    """

    def __init__(self, cause: str, message: str) -> None:
        super().__init__(message)
        self.cause = cause


def solve(stars: StarList, catalogue: SkyList, pointing: Pointing) -> Solution:
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

    Returns
    -------
    Solution
        With the matches and residuals.

    Raises
    ------
    UnsolvedError
        With its cause.
    """
    _check_enough(stars, catalogue)
    case = _Case(stars, catalogue, pointing)
    believed = pointing.ra_deg, pointing.dec_deg
    away = separations_deg(catalogue.ra_deg, catalogue.dec_deg, *believed)
    tried = 0
    for widening, scale_error, effort in WIDENING:
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


def _check_enough(stars: StarList, catalogue: SkyList) -> None:
    if not len(stars.x):
        raise UnsolvedError("no_stars", "no stars were detected: clouds, or a closed dome?")
    if len(stars.x) < LEAST_STARS:
        raise UnsolvedError(
            "too_few",
            f"only {len(stars.x)} stars were detected, and {LEAST_STARS} are needed to be sure: "
            "expose longer, or add a solved frame of the same field",
        )
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
        return self._concluded(matches, fit, (centre, around, n_tried))

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
        at: tuple[tuple[float, float], Indices, int],
    ) -> Solution | None:
        """Return the solution if the stars left out of the fit prove it."""
        centre, around, n_tried = at
        radius_pix = _last_radius(fit)
        is_there = np.hypot(*fit.held_out.T) <= radius_pix
        rms = scatter(fit.held_out)
        density = len(around) / (np.pi * (RIM * np.hypot(*self.stars.shape) / 2) ** 2)
        chance = _log10_chance(
            matches.here[is_there], len(self.stars.x), density * radius_pix**2, n_tried
        )
        if chance > np.log10(CHANCE) or rms > MOST_SCATTER_PIX:
            return None
        wcs = self._final(matches, around, centre, fit.order)
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
        self, matches: Matches, around: Indices, centre: tuple[float, float], order: int
    ) -> TanSip:
        here, there = matches.here, around[matches.there]
        return fit_tan_sip(
            (self.stars.x[here], self.stars.y[here]),
            (self.catalogue.ra_deg[there], self.catalogue.dec_deg[there]),
            1 / np.maximum(self.stars.error_pix[here], LEAST_ERROR_PIX) ** 2,
            start=TanSip(centre, _middle(self.stars.shape), np.eye(2) * self.scale_deg),
            order=order,
        )


def _closed_in(plate: Plate, coefficients: Floats) -> tuple[Matches, Fit | None]:
    """Match closer and closer, with more and more freedom; no fit where too few stars match."""
    bright = plate.brightest(int(DEPTH * max(N_ROUNDS, LEAST_STARS)))
    matches, fit = Matches.none(), None
    for radius_pix, order in ROUNDS:
        matches = bright.match(coefficients, radius_pix, N_ROUNDS)
        if len(matches) < LEAST_MATCHES:
            return matches, None
        fit = bright.fit(matches, order)
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


def _log10_chance(found: Indices, n_stars: int, filled: float, n_tried: int) -> float:
    """Return how likely so many stars lie so near catalogue stars anywhere in the sky.

    `found` are the ranks in brightness of the stars that do. The brightest are weighed alone
    too: of a thousand faint detections, hot pixels some of them, a bright catalogue knows none.
    `filled` is the density of the catalogue times the square of the radius, without pi.
    """
    share = float(1 - np.exp(-np.pi * filled))
    spent = 3  # stars that a similarity could have been made to fit
    looks = [n for n in PREFIXES if n < n_stars] + [min(n_stars, N_FIT)]
    tails = [
        binom.logsf(np.count_nonzero(found < n) - spent - 1, max(1, n - spent), share)
        for n in looks
    ]
    least = max(float(min(tails)) / np.log(10), LEAST_LOG10)
    return float(least + np.log10(len(looks) * max(1, n_tried)))
