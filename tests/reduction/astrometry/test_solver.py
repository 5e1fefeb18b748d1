"""Solving star lists of known place, and refusing those that have none."""

from dataclasses import replace

import numpy as np
import pytest

from reduction.astrometry.solution import Pointing, SkyList, Solution, StarList, UnsolvedError
from reduction.astrometry.solver import solve
from reduction.astrometry.tangent import to_sky
from reduction.simulate.fields import Field, Recipe, error_pix, make_field

FIELDS = 6


def solved(field: Field) -> Solution:
    return solve(field.stars, field.catalogue, field.pointing)


@pytest.mark.parametrize("n_stars", [20, 60, 400])
@pytest.mark.parametrize("pointing_off", [0.05, 1.0])
@pytest.mark.parametrize("distortion", [0.0, 0.005])
def test_fields_are_solved_whatever_their_rotation_parity_and_place(
    n_stars: int, pointing_off: float, distortion: float, rng: np.random.Generator
) -> None:
    recipe = Recipe(n_stars=n_stars, pointing_off=pointing_off, distortion=distortion)
    errors = [
        error_pix(solved(field).wcs, field.truth, recipe.side)
        for field in (make_field(rng, recipe) for _ in range(FIELDS))
    ]

    few = n_stars < 60  # cannot hold a distortion's polynomial down
    assert max(errors) < (4.0 if few else 0.3)
    if n_stars >= 400:
        assert float(np.median(errors)) < 0.10


def test_residual_of_stars_left_out_is_the_noise_of_their_positions(
    rng: np.random.Generator,
) -> None:
    found = solved(make_field(rng, Recipe(n_stars=2000, noise_pix=0.2)))

    assert found.held_out_rms_pix == pytest.approx(0.2, rel=0.1)
    assert found.rms_pix == pytest.approx(0.2, rel=0.1)
    assert found.log10_chance < -50


def test_no_order_is_chosen_that_the_stars_do_not_need(rng: np.random.Generator) -> None:
    orders = [solved(make_field(rng, Recipe(distortion=0.0))).wcs.order for _ in range(10)]

    assert orders.count(1) >= 7


def test_a_field_at_the_pole_is_solved(rng: np.random.Generator) -> None:
    for _ in range(5):
        field = make_field(rng, Recipe(pointing_off=0.8))
        pole = replace(field.truth, crval=(field.truth.crval[0], 89.95))
        ra, dec = pole.sky(*field.truth.pixel(field.catalogue.ra_deg, field.catalogue.dec_deg))
        near = field.truth.pixel(
            np.array([field.pointing.ra_deg]), np.array([field.pointing.dec_deg])
        )
        at = pole.sky(*near)
        pointing = replace(field.pointing, ra_deg=float(at[0][0]), dec_deg=float(at[1][0]))

        found = solve(field.stars, SkyList(ra, dec), pointing)

        assert error_pix(found.wcs, pole, 2048) < 0.3


@pytest.mark.parametrize("wrong", [0.90, 1.25])
def test_a_wrong_scale_is_found_by_itself(wrong: float, rng: np.random.Generator) -> None:
    field = make_field(rng, Recipe(n_stars=150, pointing_off=0.1))
    pointing = replace(field.pointing, scale_arcsec=wrong * field.truth.scale_arcsec)

    found = solve(field.stars, field.catalogue, pointing)

    assert found.wcs.scale_arcsec == pytest.approx(field.truth.scale_arcsec, rel=1e-3)


def test_stars_of_another_sky_are_never_matched(rng: np.random.Generator) -> None:
    for n_stars in (20, 150):
        for _ in range(3):
            field, other = (make_field(rng, Recipe(n_stars=n_stars)) for _ in range(2))
            pointing = replace(
                field.pointing, ra_deg=other.pointing.ra_deg, dec_deg=other.pointing.dec_deg
            )
            with pytest.raises(UnsolvedError) as refused:
                solve(field.stars, other.catalogue, pointing)
            assert refused.value.cause == "no_match"


def test_a_dense_catalogue_that_ends_beside_the_frame_matches_nothing_by_chance(
    rng: np.random.Generator,
) -> None:
    """A star in 110 square pixels: a sixth of all places lie within the last radius of one."""
    x, y = rng.uniform(0, 800, (2, 5800))
    here = rng.uniform(0, 800, (2, 3300))
    frame = StarList(here[0], here[1], np.full(3300, 0.2), (800, 800))
    at = (150.0, 30.0)
    scale_deg = 0.8 / 3600
    plane = scale_deg * (x - 400), scale_deg * (y - 400)

    with pytest.raises(UnsolvedError) as refused:
        solve(frame, SkyList(*to_sky(*plane, at)), Pointing(*at, 0.8, 0.3))

    assert refused.value.cause == "no_match"


def of_random_places(rng: np.random.Generator, n: int) -> StarList:
    return StarList(rng.uniform(0, 2048, n), rng.uniform(0, 2048, n), np.full(n, 0.2), (2048, 2048))


@pytest.mark.parametrize(("n", "cause"), [(0, "no_stars"), (5, "too_few")])
def test_too_little_is_refused_with_its_cause(n: int, cause: str, rng: np.random.Generator) -> None:
    field = make_field(rng, Recipe())

    with pytest.raises(UnsolvedError) as refused:
        solve(of_random_places(rng, n), field.catalogue, field.pointing)

    assert refused.value.cause == cause


def test_sky_without_a_catalogue_is_told_apart_from_a_field_without_a_match(
    rng: np.random.Generator,
) -> None:
    with pytest.raises(UnsolvedError) as refused:
        solve(
            of_random_places(rng, 50),
            SkyList(np.empty(0), np.empty(0)),
            Pointing(10.0, 20.0, 1.0, 0.5),
        )

    assert refused.value.cause == "not_covered"
