"""The growth curve of stars: what share of their light circles hold, wherever a pixel they are."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from reduction.normal import MAD_TO_SIGMA

Floats = npt.NDArray[np.float64]
BEST: Final = 1  # of the radii: about the largest signal to noise there is for faint stars
LEAST_STARS: Final = 3
SURE_STARS: Final = 12  # for each term: that tell what is usual among them, and not just a median
FULL_SIGMA: Final = 3.0  # beyond which a ring holds light of something else
ROUNDS: Final = 20
SETTLED: Final = 1e-6
MEDIAN_CHI2: Final = 0.4549  # of one degree of freedom
HIDDEN_DOUBT: Final = 0.5  # of what unseen light pulls the median by: circles hold some of it too
COARSE_FWHM_PIX: Final = 3.5  # below which the place within a pixel matters


@dataclass(frozen=True, slots=True)
class Growth:
    """What share of a star's light circles hold.

    Attributes
    ----------
    shares, errors : float arrays, ``(k,)``
        Within each circle, and how well they are known: ones and zeros where no star told.
    phase, phase_beyond : float arrays, ``(t,)``
        By how much the light between the best circle and the next grows, over that in the best,
        with each of `phases`; and the light in both rings around it, as the next circle cuts pixels
        too. Empty where it was not told.
    scatter : float
        By how much that differs from star to star beyond its noise.
    """

    shares: Floats
    errors: Floats
    phase: Floats
    phase_beyond: Floats
    scatter: float = 0.0

    def caught(self, places: Floats) -> Floats:
        """Return what share of the light the best circle holds of stars at places, ``(n,)``."""
        mean = np.full(len(places), self.shares[BEST])
        if not len(self.phase):
            return mean
        return np.asarray(1 / (1 / mean + phases(places)[:, 1:] @ self.phase_beyond))

    def beyond(self, places: Floats) -> Floats:
        """Return the light between that circle and the next over that in it, of such stars."""
        mean = np.full(len(places), self.shares[BEST + 1] / self.shares[BEST] - 1)
        if not len(self.phase):
            return mean
        return np.asarray(mean + phases(places)[:, 1:] @ self.phase)


def phases(places: Floats) -> Floats:
    """Return one and what a star's place within a pixel adds, ``(n, 4)``: none in the mean.

    A circle cuts pixels as if light were even within them; of a narrow star it is not, and how
    much is in or out repeats with the pixels, alike to either side.
    """
    (cx, cy), (fx, fy) = np.cos(2 * np.pi * places.T), np.cos(4 * np.pi * places.T)
    return np.column_stack([np.ones(len(places)), cx + cy, cx * cy, fx + fy])


def growth_of(flux: Floats, ring_error: Floats, places: Floats, fwhm_pix: float) -> Growth:
    """Return the growth curve of some stars.

    It is put together ring by ring: an unseen star lies in one or two rings of another, which tells
    of the rest as well as any. Where there are enough stars, a ring that holds more light than
    noise explains counts the less the more it is, and not at all beyond three times that.

    Parameters
    ----------
    flux, ring_error : float arrays, ``(n, k)``
        In circles of rising radii, and the noise between each and the one before.
    places : float array, ``(n, 2)``
        Pixels.
    fwhm_pix : float
        Width of a star.

    Returns
    -------
    Growth
        Of ones where stars are too few.

    References
    ----------
    Stetson (1990), PASP 102, 932, of growth by rings; Beaton & Tukey (1974), Technometrics 16, 147,
    of the weights.
    """
    good = (flux > 0).all(axis=1)
    flux, ring_error, places = flux[good], ring_error[good], places[good]
    n, k = len(flux), flux.shape[1]
    if n < LEAST_STARS:
        return Growth(np.ones(k), np.zeros(k), np.empty(0), np.empty(0))
    rings = np.diff(flux, axis=1) / flux[:, [BEST]]
    noise = ring_error[:, 1:] / flux[:, [BEST]]
    plain = np.ones((n, 1))
    told = [usual(plain, rings[:, j], noise[:, j]) for j in range(k - 1)]
    phase = beyond = np.empty(0)
    by_phase = phases(places)
    if fwhm_pix < COARSE_FWHM_PIX and n >= SURE_STARS * by_phase.shape[1]:
        for j in (BEST, BEST + 1):
            told[j] = usual(by_phase, rings[:, j], noise[:, j])
        phase, beyond = told[BEST][0][1:], (told[BEST][0] + told[BEST + 1][0])[1:]
    light = np.array([one[0][0] for one in told])
    shares, slopes = _summed(light)
    hidden = np.abs(_summed(np.median(rings, axis=0))[0] - shares)
    errors = np.sqrt(slopes**2 @ np.array([one[1] for one in told]) ** 2)
    columns = by_phase if len(phase) else plain
    left = rings[:, BEST] - columns @ told[BEST][0]
    scatter = np.sqrt(max(_own(left, noise[:, BEST]), 0.0))
    doubt = np.hypot(errors, HIDDEN_DOUBT * hidden)
    return Growth(shares, doubt, phase, beyond, float(scatter))


def _own(off: Floats, noise: Floats) -> float:
    """Return by how much values differ beyond their noise, squared, by those that are low.

    Nothing takes light away but noise and what differs from star to star.
    """
    low = off < 0
    if not low.any():
        return 0.0
    return float(np.median(off[low] ** 2 / MEDIAN_CHI2 - noise[low] ** 2))


def _summed(rings: Floats) -> tuple[Floats, Floats]:
    """Return the growth curve of the light in rings, and how it changes with each, ``(k, r)``."""
    within = np.concatenate([[0.0], np.cumsum(rings)])
    within += 1 - within[BEST]
    holds = np.tri(len(within), len(rings), -1)
    slopes = holds - holds[BEST]
    shares = within / within[-1]
    return shares, (slopes - shares[:, None] * slopes[-1]) / within[-1]


def usual(columns: Floats, values: Floats, noise: Floats) -> tuple[Floats, float]:
    """Return the terms of what is usual among values that other light may raise, and its error.

    Parameters
    ----------
    columns : float array, ``(n, t)``
        What the values may depend on, the constant first.
    values, noise : float arrays, ``(n,)``
        Any that are too high by far more than their noise do not count.

    Returns
    -------
    float array, ``(t,)``, and float
        The median and its error where values are few; the error is that of the constant.
    """
    n, n_terms = columns.shape
    found = np.zeros(n_terms)
    found[0] = np.median(values)
    if n < SURE_STARS * n_terms:
        scatter = MAD_TO_SIGMA * float(np.median(np.abs(values - found[0])))
        return found, 1.2533 * scatter / np.sqrt(n)
    for _ in range(ROUNDS):
        off = values - columns @ found
        variance = np.maximum(noise**2 + max(_own(off, noise), 0.0), 1e-16)
        inside = np.maximum(1 - off**2 / (FULL_SIGMA**2 * variance), 0.0)
        weighted = columns * (inside**2 / variance)[:, None]
        normal = np.linalg.pinv(weighted.T @ columns)
        step = normal @ (weighted.T @ off)
        found = found + step
        if np.abs(step).max() < SETTLED:
            break
    return found, float(np.sqrt(normal[0, 0]))
