"""How right the program is where the truth is known: places, fluxes, zero points, completeness."""

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from reduction.astrometry.placing import Elsewhere, Hints, place
from reduction.astrometry.quads import quads_of
from reduction.astrometry.solution import SkyList, UnsolvedError
from reduction.astrometry.wcs import TanSip
from reduction.frameinfo import FrameInfo, FrameKind
from reduction.image import Image
from reduction.onsky import OnSky, Reference, put_on_sky
from reduction.photometry.psf import fit_psf, psf_fluxes
from reduction.refcat.geometry import separations_deg
from reduction.simulate.fields import Field, Recipe, error_pix, make_field
from reduction.stats import MAD_TO_SIGMA
from scripts.benchmarks.data import FWHM, READ_NOISE_E, add_stars
from scripts.benchmarks.sky import only

Floats = npt.NDArray[np.float64]
WRONG_PIX: Final = 20.0  # a place that far off is another one
SIDE, SKY_E, EXPTIME_S, ZERO_POINT = 1024, 400.0, 60.0, 25.0
SCALE_DEG: Final = 0.8 / 3600
CENTRE: Final = (150.0, 30.0)
SURE, CROWD = 50.0, 50.0  # signal to noise that a bias is told of; FWHM squared for each star
HINTED: Final = (
    ("15 stars, off by 0.3 of a width", Recipe(15, depth=1.5, missing=0.1, spurious=0.1)),
    ("100 stars, off by a width, 0.5 % distorted",
     Recipe(100, pointing_off=1.0, distortion=0.005)),
    ("400 stars, off by a width, 0.5 % distorted",
     Recipe(400, pointing_off=1.0, distortion=0.005)),
    ("5000 stars, 0.2 % distorted", Recipe(5000, pointing_off=0.1)),
)  # fmt: skip
BLIND: Final = (
    ("15 stars of the catalogue", Recipe(15, depth=1.0, pointing_off=3.0, missing=0.1,
                                         spurious=0.1)),
    ("15 stars, a fifth missing, a fifth wrong", Recipe(15, depth=1.0, pointing_off=3.0)),
    ("40 stars", Recipe(40, depth=1.2, pointing_off=2.0)),
    ("200 stars, 0.5 % distorted", Recipe(200, pointing_off=0.8, distortion=0.005)),
)  # fmt: skip


@dataclass(frozen=True)
class Fact:
    """One line: of what, and what was found."""

    of: str
    found: str
    figures: dict[str, float]


def measured(*, quick: bool) -> Iterator[Fact]:
    """Yield everything that is measured, on few fields where it is to be quick."""
    n, frames = (10, 1) if quick else (100, 6)
    blind("", BLIND[0][1], 1)  # loads the kernels
    yield from (hinted(name, recipe, n) for name, recipe in HINTED)
    yield from (blind(name, recipe, n) for name, recipe in BLIND)
    yield strangers(n)
    crowd = int(SIDE**2 / (CROWD * FWHM**2))
    for name, n_stars in (("isolated", 300), ("one star per 50 FWHM squared", crowd)):
        yield from photometry(name, n_stars, frames)


def tell(facts: Iterable[Fact], path: Path | None) -> None:
    """Print each line as it is there, and write all where that is wanted."""
    told = []
    for fact in facts:
        print(f"{fact.of:64}  {fact.found}", flush=True)
        told.append(asdict(fact))
    if path is not None:
        path.write_text(json.dumps(told, indent=1) + "\n")


def hinted(name: str, recipe: Recipe, n: int) -> Fact:
    """Solve fields with a pointing and a scale."""
    rng = np.random.default_rng(71)
    return _solved(f"with a pointing: {name}", [make_field(rng, recipe) for _ in range(n)], True)


def blind(name: str, recipe: Recipe, n: int) -> Fact:
    """Solve fields without any hint, each in a piece of sky of its own."""
    rng = np.random.default_rng(72)
    return _solved(f"without hints: {name}", [full_field(rng, recipe) for _ in range(n)], False)


def full_field(rng: np.random.Generator, recipe: Recipe) -> Field:
    """Return a field with at least as many stars of the catalogue on the frame as it should have.

    By chance there may be far fewer than in the mean.
    """
    while True:
        field = make_field(rng, recipe)
        x, y = field.truth.pixel(field.catalogue.ra_deg, field.catalogue.dec_deg)
        on = (x > 0) & (y > 0) & (x < recipe.side) & (y < recipe.side)
        if np.count_nonzero(on) >= recipe.n_stars:
            return field


def _solved(of: str, fields: Sequence[Field], is_hinted: bool) -> Fact:
    errors, cpu = [], []
    for field in fields:
        at = field.pointing
        hints = Hints(at.ra_deg, at.dec_deg, at.scale_arcsec)
        elsewhere = Elsewhere()
        if not is_hinted:
            index = quads_of(field.catalogue.ra_deg, field.catalogue.dec_deg)
            hints, elsewhere = Hints(None, None, None), Elsewhere(partial(only, index))
        started = time.process_time()
        found = _placed(field, field.catalogue, hints, elsewhere)
        cpu.append(time.process_time() - started)
        if found is not None:
            errors.append(error_pix(found, field.truth, field.stars.shape[0]))
    right = np.array([error for error in errors if error < WRONG_PIX])
    wrong = len(errors) - len(right)
    error = float(np.median(right)) if len(right) else float("nan")
    return Fact(
        of,
        f"{len(right)} of {len(fields)} solved, {wrong} wrong, median error {error:.3f} pix, "
        f"CPU {1000 * float(np.median(cpu)):.1f} ms (most {max(cpu):.2f} s)",
        {"solved": len(right), "of": len(fields), "wrong": wrong, "error_pix": error,
         "cpu_s": float(np.median(cpu)), "most_cpu_s": max(cpu)},
    )  # fmt: skip


def strangers(n: int) -> Fact:
    """Look for fields in a sky that does not have them, with hints and without."""
    rng = np.random.default_rng(73)
    wrong, cpu = 0, []
    for k in range(n):
        recipe = Recipe(n_stars=(15, 40, 150)[k % 3], depth=1.2, pointing_off=1.0)
        field, other = make_field(rng, recipe), make_field(rng, recipe)
        index = quads_of(other.catalogue.ra_deg, other.catalogue.dec_deg)
        at = other.pointing
        hints = (
            Hints(at.ra_deg, at.dec_deg, at.scale_arcsec) if k % 5 == 4 else Hints(None, None, None)
        )
        started = time.process_time()
        found = _placed(field, other.catalogue, hints, Elsewhere(partial(only, index)))
        cpu.append(time.process_time() - started)
        wrong += found is not None
    return Fact(
        "fields that are not in the catalogue",
        f"{wrong} of {n} solved wrongly, CPU {float(np.median(cpu)):.2f} s (most {max(cpu):.2f} s)",
        {"wrong": wrong, "of": n, "cpu_s": float(np.median(cpu)), "most_cpu_s": max(cpu)},
    )


def _placed(field: Field, catalogue: SkyList, hints: Hints, elsewhere: Elsewhere) -> TanSip | None:
    def ask(ra_deg: float, dec_deg: float, radius_deg: float) -> list[SkyList]:
        away = separations_deg(catalogue.ra_deg, catalogue.dec_deg, ra_deg, dec_deg)
        near = away < radius_deg
        return [SkyList(catalogue.ra_deg[near], catalogue.dec_deg[near])] if near.any() else []

    try:
        return place(field.stars, hints, ask, elsewhere).solution.wcs
    except UnsolvedError:
        return None


@dataclass(frozen=True)
class Simulated:
    """A frame and the truth about its stars."""

    image: Image
    x: Floats
    y: Floats
    flux: Floats


def frame_of_stars(seed: int, n_stars: int) -> Simulated:
    """Return a frame of Moffat stars in electrons."""
    rng = np.random.default_rng(seed)
    light = np.full((SIDE, SIDE), SKY_E, np.float32)
    x, y, flux = add_stars(light, n_stars, rng)
    data = rng.poisson(light) + rng.normal(0, READ_NOISE_E, light.shape)
    mask = np.zeros(light.shape, np.uint16)
    variance = (light + READ_NOISE_E**2).astype(np.float32)
    return Simulated(Image(data.astype(np.float32), variance, mask, "electron"), x, y, flux)


def put(frame: Simulated) -> OnSky:
    """Put a frame on the sky by a catalogue of its own stars."""
    truth = TanSip(CENTRE, ((SIDE - 1) / 2,) * 2, SCALE_DEG * np.diag([-1.0, 1.0]))
    ra, dec = truth.sky(frame.x, frame.y)
    mag = ZERO_POINT - 2.5 * np.log10(frame.flux / EXPTIME_S)
    order = np.argsort(mag)
    known = Reference("truth", "r", ra[order], dec[order], mag[order], np.full(len(mag), 0.003))
    info = FrameInfo("made", FrameKind.SCIENCE, SIDE, SIDE, exptime_s=EXPTIME_S, band="r",
                     ra_deg=CENTRE[0], dec_deg=CENTRE[1], pixel_scale_arcsec=0.8)  # fmt: skip
    return put_on_sky(frame.image, info, lambda *_: [known])


def photometry(name: str, n_stars: int, n_frames: int) -> list[Fact]:
    """Measure frames of simulated stars: bias and pulls of fluxes, zero points, what is found."""
    pulls: dict[str, list[Floats]] = {"apertures": [], "PSF": []}
    biases: dict[str, list[Floats]] = {"apertures": [], "PSF": []}
    zeros, found_at = [], []
    for seed in range(n_frames):
        frame = frame_of_stars(100 + seed, n_stars)
        seen = put(frame)
        sources, apertures = seen.detected.sources, seen.apertures
        tree = cKDTree(np.column_stack([sources.x, sources.y]))
        away, which = tree.query(np.column_stack([frame.x, frame.y]))
        inside = np.minimum.reduce([frame.x, frame.y, SIDE - frame.x, SIDE - frame.y]) > 4 * FWHM
        snr = frame.flux / np.sqrt(frame.flux + 4 * np.pi * (FWHM / 2) ** 2 * SKY_E)
        found_at.append(np.column_stack([snr[inside], away[inside] < FWHM / 2]))
        stars = np.flatnonzero(inside & (away < FWHM / 2) & (snr > SURE))
        light = {"apertures": (apertures.total, apertures.total_error)}
        model = fit_psf(frame.image, seen.detected, apertures)
        if model is not None:
            fluxes = psf_fluxes(frame.image, seen.detected, apertures, model)
            light["PSF"] = fluxes.flux, fluxes.error
        for way, (flux, error) in light.items():
            off = flux[which[stars]] - frame.flux[stars]
            pulls[way].append(off / error[which[stars]])
            biases[way].append(off / frame.flux[stars])
        if seen.zero_point is not None:
            zeros.append((seen.zero_point.value - ZERO_POINT, seen.zero_point.error))
    facts = [_fluxes(f"{name}: {way}", biases[way], pulls[way]) for way in pulls if pulls[way]]
    return [*facts, _zeros(name, zeros, n_frames), _completeness(name, np.concatenate(found_at))]


def _fluxes(of: str, biases: Sequence[Floats], pulls: Sequence[Floats]) -> Fact:
    bias, pull = np.concatenate(biases), np.concatenate(pulls)
    middle = float(np.median(bias))
    width = float(MAD_TO_SIGMA * np.median(np.abs(pull - np.median(pull))))
    return Fact(
        of,
        f"{len(bias)} stars above S/N {SURE:.0f}: bias {100 * middle:+.2f} % of the flux, "
        f"pulls {width:.2f} wide",
        {"stars": len(bias), "bias": middle, "pull_width": width},
    )


def _zeros(name: str, zeros: Sequence[tuple[float, float]], n: int) -> Fact:
    off, error = np.array(zeros).reshape(-1, 2).T
    most = float(np.abs(off).max()) if len(off) else float("nan")
    stated = float(np.median(error)) if len(error) else float("nan")
    return Fact(
        f"{name}: zero point",
        f"{len(off)} of {n} frames, off by {1000 * most:.1f} mmag at most, stated error "
        f"{1000 * stated:.1f} mmag",
        {"frames": len(off), "most_off_mag": most, "stated_mag": stated},
    )


def _completeness(name: str, found: Floats) -> Fact:
    shares = {}
    for low, high in ((7.0, 10.0), (10.0, 20.0), (20.0, 50.0), (50.0, np.inf)):
        within = (found[:, 0] >= low) & (found[:, 0] < high)
        shares[f"{low:.0f}"] = float(found[within, 1].mean()) if within.any() else float("nan")
    told = ", ".join(f"{100 * share:.1f} % from S/N {low}" for low, share in shares.items())
    return Fact(f"{name}: stars found", told, {f"from_{low}": s for low, s in shares.items()})
