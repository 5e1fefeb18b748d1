"""Fluxes, zero points and what is found on simulated frames of stars, beside the truth."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from scipy.spatial import cKDTree

from reduction.astrometry.wcs import TanSip
from reduction.frameinfo import FrameInfo, FrameKind
from reduction.normal import MAD_TO_SIGMA
from reduction.onsky import OnSky, put_on_sky
from reduction.photometry.psf import fit_psf, psf_fluxes
from reduction.reference import Reference
from scripts.benchmarks.accuracy_facts import Fact, note
from scripts.benchmarks.accuracy_found import completeness
from scripts.benchmarks.accuracy_frames import (
    COLOUR_TERM,
    EXPTIME_S,
    ZERO_POINT,
    Floats,
    Simulated,
    frame_of_stars,
    light_within,
)

CENTRE: Final = (150.0, 30.0)
SCALE_ARCSEC: Final = 0.8
WIDTHS: Final = (1.5, 2.0, 3.2, 5.0, 8.0)  # FWHM in pixels
FRAMES: Final = ((2.0, 1024, 1), (4.0, 1024, 2), (6.0, 1536, 2), (np.inf, 1536, 4))  # up to a FWHM
CROWDS: Final = (None, 50.0, 25.0, 12.0)  # squares of the FWHM for each star; None is isolated
WITH_AIM: Final = (None, 50.0)
SURE: Final = 50.0  # signal to noise from which on a bias is told
EDGE_FWHM: Final = 5.0  # of the frame, whose stars are left out
MOST_BIAS, PULL_RANGE, MOST_ZERO_MAG = 0.002, 0.05, 0.003
APART_FWHM: Final = 1.2  # two stars nearer to each other count as one that nobody can part
CATALOGUE_ERROR_MAG: Final = 0.003
WAYS: Final = ("apertures", "PSF")


@dataclass
class Gathered:
    """What the frames of one kind show, each a list of arrays or of numbers."""

    off: dict[str, list[Floats]] = field(default_factory=lambda: defaultdict(list))
    pulls: dict[str, list[Floats]] = field(default_factory=lambda: defaultdict(list))
    snr: dict[str, list[Floats]] = field(default_factory=lambda: defaultdict(list))
    apart: dict[str, list[Floats]] = field(default_factory=lambda: defaultdict(list))
    zeros: list[tuple[float, float, float, float]] = field(default_factory=list)
    n_frames: int = 0


def light(*, quick: bool, peers: str | None) -> Iterator[Fact]:
    """Yield a fact of each kind of frame."""
    widths = (3.2,) if quick else WIDTHS
    for crowd in CROWDS[:2] if quick else CROWDS:
        zeros = Gathered()
        for fwhm in widths:
            gathered = gather(crowd, fwhm, frames_of(fwhm, quick=quick))
            zeros.zeros += gathered.zeros
            zeros.n_frames += gathered.n_frames
            yield from (fluxes(way, crowd, fwhm, gathered) for way in WAYS)
        yield zero_points(crowd, zeros)
    for crowd in CROWDS[:2] if quick else CROWDS:
        for fwhm in widths if quick else (1.5, 3.2, 8.0):
            side, _ = frames_of(fwhm, quick=quick)
            frames = [frame_of_stars(900, side, fwhm, crowd)]
            yield completeness(named(crowd, fwhm), frames, peers)


def frames_of(fwhm: float, *, quick: bool) -> tuple[int, int]:
    """Return the side of frames and how many: larger and more of wide stars, which are fewer."""
    if quick:
        return 800, 1
    return next((side, n) for widest, side, n in FRAMES if fwhm <= widest)


def named(crowd: float | None, fwhm: float) -> str:
    """Return what frames are called."""
    how = "isolated" if crowd is None else f"one star in {crowd:.0f} FWHM squared"
    return f"{how}, FWHM {fwhm:g} pix"


def gather(crowd: float | None, fwhm: float, frames: tuple[int, int]) -> Gathered:
    """Measure the frames of one kind."""
    gathered = Gathered()
    side, n = frames
    for k in range(n):
        note(named(crowd, fwhm), k, n)
        frame = frame_of_stars(100 + k, side, fwhm, crowd)
        seen = put(frame, round(1000 * fwhm + 100 * (crowd or 0)) + k)
        gathered.n_frames += 1
        compare(gathered, frame, seen)
        zero = seen.zero_point
        if zero is not None and zero.colour_term is not None:
            more = 2.5 * np.log10(light_within(float(seen.apertures.radii_pix[-1]), fwhm))
            gathered.zeros.append(
                (zero.value - ZERO_POINT - more, zero.total_error,
                 zero.colour_term - COLOUR_TERM, zero.colour_term_error or 0.0)
            )  # fmt: skip
    return gathered


def put(frame: Simulated, seed: int) -> OnSky:
    """Put a frame on the sky by a catalogue of its own stars, their magnitudes a little off."""
    side = frame.image.shape[0]
    truth = TanSip(CENTRE, ((side - 1) / 2,) * 2, SCALE_ARCSEC / 3600 * np.diag([-1.0, 1.0]))
    ra, dec = truth.sky(frame.x, frame.y)
    off = np.random.default_rng(seed).normal(0, CATALOGUE_ERROR_MAG, len(ra))
    order = np.argsort(frame.mag)
    known = Reference(
        "truth", "r", ra[order], dec[order], (frame.mag + off)[order],
        np.full(len(ra), CATALOGUE_ERROR_MAG), colour=frame.colour[order], colour_name="g-r",
    )  # fmt: skip
    info = FrameInfo("made", FrameKind.SCIENCE, side, side, exptime_s=EXPTIME_S, band="r",
                     ra_deg=CENTRE[0], dec_deg=CENTRE[1],
                     pixel_scale_arcsec=SCALE_ARCSEC)  # fmt: skip
    return put_on_sky(frame.image, info, lambda *_: [known])


def compare(gathered: Gathered, frame: Simulated, seen: OnSky) -> None:
    """Add how far the fluxes of a frame's stars are off.

    Apertures are compared for stars that the frame itself says nothing shines on, PSF fluxes for
    those that another star does not lie upon. All light is what the largest circle holds.
    """
    sources, fwhm = seen.detected.sources, frame.fwhm
    truth = frame.flux * light_within(float(seen.apertures.radii_pix[-1]), fwhm)
    places = np.column_stack([frame.x, frame.y])
    tree = cKDTree(places)
    away, which = tree.query(np.column_stack([sources.x, sources.y]))
    apart = tree.query(places, k=2)[0][:, 1]
    side = frame.image.shape[0]
    edge = np.minimum.reduce([sources.x, sources.y, side - 1 - sources.x, side - 1 - sources.y])
    kept = (away < fwhm / 2) & (edge > EDGE_FWHM * fwhm)
    chosen = {
        "apertures": kept & sources.is_clean,
        "PSF": kept & (apart[which] > APART_FWHM * fwhm),
    }
    measured = {"apertures": (seen.apertures.total, seen.apertures.total_error)}
    model = fit_psf(frame.image, seen.detected, seen.apertures)
    if model is not None:
        found = psf_fluxes(frame.image, seen.detected, seen.apertures, model)
        measured["PSF"] = found.flux, found.error
    for way, (flux, error) in measured.items():
        k = np.flatnonzero(chosen[way] & np.isfinite(flux) & (error > 0))
        off = flux[k] - truth[which[k]]
        gathered.off[way].append(off / truth[which[k]])
        gathered.apart[way].append(apart[which[k]] / fwhm)
        gathered.pulls[way].append(off / error[k])
        gathered.snr[way].append(frame.snr[which[k]])


def fluxes(way: str, crowd: float | None, fwhm: float, gathered: Gathered) -> Fact:
    """Return how far fluxes are off, and how well their errors say so."""
    of = f"{named(crowd, fwhm)}: {way}"
    if not gathered.off[way]:
        return Fact(of, "no fluxes", {}, "fluxes" if crowd in WITH_AIM else "")
    kinds = gathered.off, gathered.pulls, gathered.snr, gathered.apart
    off, pull, snr, apart = (np.concatenate(one[way]) for one in kinds)
    bright = snr > SURE
    bias = float(np.median(off[bright]))
    doubt = 1.2533 * robust_width(off[bright]) / np.sqrt(max(1, bright.sum()))
    width, parted = robust_width(pull), robust_width(pull[apart > APART_FWHM])
    chance = 1.17 / np.sqrt(max(1, len(pull)))  # of a width told by a median
    missed = []
    if crowd in WITH_AIM:
        missed += [f"{100 * MOST_BIAS:g} %"] if abs(bias) > MOST_BIAS + 2 * doubt else []
        missed += ["pulls"] if abs(width - 1) > PULL_RANGE + 2 * chance else []
    return Fact(
        of,
        f"{bright.sum()} stars above S/N {SURE:.0f}: {100 * bias:+.2f} +- {100 * doubt:.2f} % of "
        f"the flux; pulls of {len(pull)} stars {width:.2f} +- {chance:.2f} wide "
        f"({parted:.2f} of those {APART_FWHM:g} FWHM from the next)",
        {"stars": int(bright.sum()), "bias": bias, "bias_error": doubt, "all_stars": len(pull),
         "pull_width": width, "pull_width_error": chance, "pull_width_parted": parted},
        ", ".join(missed),
    )  # fmt: skip


def robust_width(values: Floats) -> float:
    """Return the standard deviation of values, a few outliers not counted."""
    if not len(values):
        return float("nan")
    return float(MAD_TO_SIGMA * np.median(np.abs(values - np.median(values))))


def zero_points(crowd: float | None, gathered: Gathered) -> Fact:
    """Return how far zero points and colour terms are off beside their errors."""
    how = "isolated" if crowd is None else f"one star in {crowd:.0f} FWHM squared"
    found: Sequence[tuple[float, float, float, float]] = gathered.zeros
    off, error, term_off, term_error = np.array(found).reshape(-1, 4).T
    n = len(found)
    over = float(np.max(np.abs(off) - error, initial=-np.inf)) if n else float("nan")
    pulls = np.abs(term_off) / np.maximum(term_error, 1e-9)
    figures = {
        "frames": n, "of": gathered.n_frames,
        "most_off_mag": float(np.max(np.abs(off), initial=0.0)),
        "most_beyond_error_mag": over,
        "stated_mag": float(np.median(error)) if n else float("nan"),
        "colour_term_pull": float(np.sqrt(np.mean(pulls**2))) if n else float("nan"),
        "colour_term_within_error": float(np.mean(pulls < 1)) if n else float("nan"),
    }  # fmt: skip
    missed = []
    if crowd in WITH_AIM:
        missed += ["all frames"] if n < gathered.n_frames else []
        missed += [f"{1000 * MOST_ZERO_MAG:g} mmag and the error"] if over > MOST_ZERO_MAG else []
        # The mean of so many squares of numbers that scatter by one, and what chance adds.
        most = 1 + 2 * np.sqrt(2 / max(1, n))
        missed += ["colour term"] if np.mean(pulls**2) > most else []
    return Fact(
        f"{how}: zero points of all widths",
        f"{n} of {gathered.n_frames} frames, off by {1000 * figures['most_off_mag']:.1f} mmag at "
        f"most, {1000 * over:+.1f} mmag beyond the stated error (median "
        f"{1000 * figures['stated_mag']:.1f}); colour terms off by "
        f"{figures['colour_term_pull']:.2f} of their error",
        figures,
        ", ".join(missed),
    )
