"""Places on the sky of simulated star lists: how many are found, how many wrong, how far off."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import numpy as np

from reduction.astrometry.placing import Elsewhere, Hints, place
from reduction.astrometry.quads import quads_of
from reduction.astrometry.solution import SkyList, Solution, UnsolvedError
from reduction.astrometry.wcs import TanSip
from reduction.refcat.geometry import separations_deg
from reduction.simulate.fields import Field, Recipe, error_pix, make_field
from scripts.benchmarks.accuracy_facts import Fact, note
from scripts.benchmarks.sky import only

WRONG_PIX: Final = 20.0  # a place that far off is another one
SOLVED_AIM: Final = 0.995
LEAST_PIX, OVER_NOISE, IN_CORNERS = 0.10, 1.1, 2.0
RAYLEIGH: Final = 1.1774  # median distance of places that scatter by one on each axis
CORNER: Final = 0.98  # of the half side
MOST_DISTORTION: Final = 0.005
STRANGER_STARS: Final = (15, 40, 150)
MANY: Final = 2000  # stars, from which on fewer fields are made: their skies hold millions
# What a row is called, from how many stars to how many: the logarithm is drawn evenly.
HINTED: Final = (
    ("15 to 40 stars", 15, 40),
    ("40 to 200 stars", 40, 200),
    ("200 to 2000 stars", 200, 2000),
    ("2000 to 20 000 stars", 2000, 20_000),
)
BLIND: Final = (
    ("15 stars, a tenth missing, a tenth wrong",
     Recipe(15, depth=1.0, pointing_off=3.0, missing=0.1, spurious=0.1)),
    ("15 stars, a fifth missing, a fifth wrong", Recipe(15, depth=1.0, pointing_off=3.0)),
    ("40 stars, a fifth missing, a fifth wrong", Recipe(40, depth=1.2, pointing_off=2.0)),
    ("200 stars, the same, distorted by 0.5 %",
     Recipe(200, pointing_off=0.8, distortion=MOST_DISTORTION)),
)  # fmt: skip


@dataclass(frozen=True)
class Solved:
    """One field: how far off the place that was found is, none where none was."""

    cpu_s: float
    middle_pix: float = np.nan
    corner_pix: float = np.nan
    residual: float = np.nan  # of its stars, over what the noise of their places gives

    @property
    def is_found(self) -> bool:
        """Tell whether a place was found."""
        return bool(np.isfinite(self.middle_pix))


def places(*, quick: bool) -> Iterator[Fact]:
    """Yield a fact of each kind of field."""
    fields, blind_fields, strange = (15, 10, 30) if quick else (200, 100, 100)
    solve_one(make_field(np.random.default_rng(0), Recipe(200)), is_hinted=False)  # the kernels
    for name, low, high in HINTED:
        yield hinted(name, (low, high), fields if low < MANY else max(3, fields // 5))
    for name, recipe in BLIND:
        yield blind(name, recipe, blind_fields)
    yield strangers(strange)


def hinted(name: str, stars: tuple[int, int], n: int) -> Fact:
    """Solve fields with a pointing and a scale, distorted and off the pointing by chance."""
    rng = np.random.default_rng(71)
    found = []
    for k in range(n):
        note(f"with a pointing, {name}", k, n)
        recipe = Recipe(
            n_stars=round(np.exp(rng.uniform(*np.log(stars)))),
            pointing_off=float(rng.random()),
            distortion=float(rng.uniform(0, MOST_DISTORTION)),
        )
        found.append(solve_one(make_field(rng, recipe), is_hinted=True))
    return told(f"with a pointing: {name}", found, has_aim=True)


def blind(name: str, recipe: Recipe, n: int) -> Fact:
    """Solve fields without any hint, each in a piece of sky of its own."""
    rng = np.random.default_rng(72)
    found = []
    for k in range(n):
        note(f"without hints, {name}", k, n)
        found.append(solve_one(full_field(rng, recipe), is_hinted=False))
    return told(f"without hints: {name}", found, has_aim=False)


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


def solve_one(field: Field, *, is_hinted: bool) -> Solved:
    """Solve a field, and compare what is found with the truth."""
    at = field.pointing
    hints, elsewhere = Hints(at.ra_deg, at.dec_deg, at.scale_arcsec), Elsewhere()
    if not is_hinted:
        index = quads_of(field.catalogue.ra_deg, field.catalogue.dec_deg)
        hints, elsewhere = Hints(None, None, None), Elsewhere(partial(only, index))
    started = time.process_time()
    found = placed(field, field.catalogue, hints, elsewhere)
    cpu = time.process_time() - started
    if found is None:
        return Solved(cpu)
    side = field.stars.shape[0]
    off = np.median(np.hypot(found.residual_x_pix, found.residual_y_pix))
    limit = RAYLEIGH * float(np.median(field.stars.error_pix))
    return Solved(
        cpu,
        middle_pix=error_pix(found.wcs, field.truth, side),
        corner_pix=corner_error_pix(found.wcs, field.truth, side),
        residual=float(off) / limit,
    )


def corner_error_pix(found: TanSip, truth: TanSip, side: int) -> float:
    """Return the median distance between two projections in the corners of a frame."""
    at = (side - 1) / 2 * (1 + CORNER * np.array([-1.0, 1.0]))
    x, y = (values.ravel() for values in np.meshgrid(at, at))
    fx, fy = found.pixel(*truth.sky(x, y))
    return float(np.median(np.hypot(fx - x, fy - y)))


def placed(field: Field, catalogue: SkyList, hints: Hints, elsewhere: Elsewhere) -> Solution | None:
    """Return the place of a field, None where none is proved."""

    def ask(ra_deg: float, dec_deg: float, radius_deg: float) -> list[SkyList]:
        away = separations_deg(catalogue.ra_deg, catalogue.dec_deg, ra_deg, dec_deg)
        near = away < radius_deg
        return [SkyList(catalogue.ra_deg[near], catalogue.dec_deg[near])] if near.any() else []

    try:
        return place(field.stars, hints, ask, elsewhere).solution
    except UnsolvedError:
        return None


def told(of: str, found: list[Solved], *, has_aim: bool) -> Fact:
    """Return the fact of some fields."""
    wrong = sum(one.is_found and one.middle_pix >= WRONG_PIX for one in found)
    right = [one for one in found if one.is_found and one.middle_pix < WRONG_PIX]
    middle, corner, residual = (
        float(np.median([getattr(one, name) for one in right])) if right else float("nan")
        for name in ("middle_pix", "corner_pix", "residual")
    )
    cpu = [one.cpu_s for one in found]
    figures = {
        "solved": len(right), "of": len(found), "wrong": wrong, "error_pix": middle,
        "corner_pix": corner, "residual_over_noise": residual,
        "cpu_s": float(np.median(cpu)), "most_cpu_s": max(cpu),
    }  # fmt: skip
    missed = missed_aims(figures) if has_aim else missed_aims({"wrong": wrong})
    return Fact(
        of,
        f"{len(right)} of {len(found)} solved, {wrong} wrong, off by {middle:.3f} pix "
        f"({corner:.3f} in corners), stars by {residual:.2f} of their noise, "
        f"CPU {1000 * float(np.median(cpu)):.1f} ms (most {max(cpu):.2f} s)",
        figures,
        missed,
    )


def missed_aims(figures: dict[str, float]) -> str:
    """Return which aims some fields fall short of; a limit is of places, in pixels."""
    limit = max(LEAST_PIX, OVER_NOISE * RAYLEIGH * Recipe().noise_pix)
    missed = []
    if figures["wrong"]:
        missed.append("none wrong")
    if figures.get("solved", 1.0) < SOLVED_AIM * figures.get("of", 1.0):
        missed.append(f"{100 * SOLVED_AIM:g} % solved")
    if figures.get("error_pix", 0.0) > limit:
        missed.append(f"{limit:.2f} pix")
    if figures.get("corner_pix", 0.0) > IN_CORNERS * limit:
        missed.append(f"{IN_CORNERS * limit:.2f} pix in corners")
    if figures.get("residual_over_noise", 0.0) > OVER_NOISE:
        missed.append(f"stars within {OVER_NOISE:g} of their noise")
    return ", ".join(missed)


def strangers(n: int) -> Fact:
    """Look for fields in a sky that does not have them, with hints and without."""
    rng = np.random.default_rng(73)
    wrong, cpu = 0, []
    for k in range(n):
        note("fields the catalogue does not have", k, n)
        recipe = Recipe(STRANGER_STARS[k % 3], depth=1.2, pointing_off=1.0)
        field, other = make_field(rng, recipe), make_field(rng, recipe)
        index = quads_of(other.catalogue.ra_deg, other.catalogue.dec_deg)
        at = other.pointing
        hints = Hints(at.ra_deg, at.dec_deg, at.scale_arcsec)
        if k % 5 < 4:
            hints = replace(hints, ra_deg=None, dec_deg=None, scale_arcsec=None)
        started = time.process_time()
        found = placed(field, other.catalogue, hints, Elsewhere(partial(only, index)))
        cpu.append(time.process_time() - started)
        wrong += found is not None
    figures = {"wrong": wrong, "of": n, "cpu_s": float(np.median(cpu)), "most_cpu_s": max(cpu)}
    return Fact(
        "fields that are not in the catalogue",
        f"{wrong} of {n} solved wrongly, CPU {float(np.median(cpu)):.2f} s (most {max(cpu):.2f} s)",
        figures,
        missed_aims(figures | {"of": 0.0}),
    )
