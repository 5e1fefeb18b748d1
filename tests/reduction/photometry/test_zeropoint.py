"""Zero points of simulated stars: true within their errors, whatever outliers there are."""

from dataclasses import replace

import numpy as np
import pytest

from reduction.photometry.zeropoint import (
    CalibrationStars,
    NoZeroPointError,
    ZeroPointModel,
    choose_zero_point,
    fit_zero_point,
    has_colour_range,
    limiting_mag,
)

TRUE, TERM = 22.5, -0.12


def make_stars(
    rng: np.random.Generator,
    n: int = 120,
    *,
    scatter: float = 0.02,
    outliers: float = 0.0,
    tilt: float = 0.0,
) -> CalibrationStars:
    mag, colour = rng.uniform(12, 17, n), rng.uniform(0.2, 1.4, n)
    x, y = rng.uniform(-1, 1, n), rng.uniform(-1, 1, n)
    flux = 10 ** (-0.4 * (mag - TRUE - TERM * colour - tilt * x + rng.normal(0, scatter, n)))
    error = 0.01 * flux
    flux = rng.normal(flux, error)
    seen = rng.normal(mag, 0.01)
    wrong = rng.random(n) < outliers
    seen[wrong] += rng.choice([-1, 1], int(wrong.sum())) * rng.uniform(0.3, 3, int(wrong.sum()))
    return CalibrationStars(flux, error, seen, np.full(n, 0.01), colour, x, y)


def test_zero_point_and_colour_term_are_true_within_their_errors(rng: np.random.Generator) -> None:
    pulls, term_pulls = [], []
    for _ in range(60):
        found = fit_zero_point(make_stars(rng))
        pulls.append((found.value - TRUE) / found.error)
        assert found.colour_term is not None
        assert found.colour_term_error is not None
        term_pulls.append((found.colour_term - TERM) / found.colour_term_error)

    assert np.std(pulls) == pytest.approx(1.0, abs=0.35)
    assert np.std(term_pulls) == pytest.approx(1.0, abs=0.35)
    assert abs(np.mean(pulls)) < 0.5


def test_intrinsic_scatter_is_told_apart_from_the_stated_errors(rng: np.random.Generator) -> None:
    assert fit_zero_point(make_stars(rng, 600, scatter=0.05)).scatter_mag == pytest.approx(
        0.05, rel=0.15
    )
    assert fit_zero_point(make_stars(rng, 600, scatter=0.0)).scatter_mag < 0.005


def test_a_fifth_of_wrong_stars_does_not_move_it(rng: np.random.Generator) -> None:
    for _ in range(10):
        found = fit_zero_point(make_stars(rng, outliers=0.2))
        assert found.value == pytest.approx(TRUE, abs=0.003 + 3 * found.error)
        assert 0.6 * 120 < found.n_used < 0.95 * 120


def test_variation_over_the_frame_is_fitted_where_asked_for(rng: np.random.Generator) -> None:
    stars = make_stars(rng, 400, tilt=0.2)

    found = fit_zero_point(stars, spatial_order=1)

    assert found.spatial == pytest.approx((0.2, 0.0), abs=0.01)
    assert found.scatter_mag < fit_zero_point(stars).scatter_mag


def test_stars_without_light_are_left_out_and_too_few_refused(rng: np.random.Generator) -> None:
    stars = make_stars(rng, 10)
    stars.flux_per_s[:3] = (0.0, -5.0, np.nan)

    found = fit_zero_point(stars)

    assert not found.is_used[:3].any()
    stars.flux_per_s[3:7] = 0.0
    with pytest.raises(NoZeroPointError, match="3 stars of known magnitude are left of 10"):
        fit_zero_point(stars)


def test_a_colour_term_needs_stars_of_different_colours(rng: np.random.Generator) -> None:
    assert has_colour_range(rng.uniform(0, 1, 50))
    assert not has_colour_range(rng.uniform(0.5, 0.6, 50))
    assert not has_colour_range(np.array([0.0, 1.0]))


def test_limiting_magnitude_is_where_five_sigma_are() -> None:
    noise = 10.0 * np.sqrt(np.pi) * 4.0

    limit = limiting_mag(25.0, 10.0, 4.0, 1.0, 100.0)

    flux_per_s = 10 ** (-0.4 * (limit - 25.0))
    assert flux_per_s * 100.0 == pytest.approx(5 * noise)


def bent_stars(
    rng: np.random.Generator, n: int = 400, *, extra_flux: float = 0.0, slope: float = 0.0
) -> CalibrationStars:
    """Stars of a frame whose sky was misjudged, or whose detector is not linear."""
    mag = rng.uniform(14, 19, n)
    x, y = rng.uniform(-1, 1, n), rng.uniform(-1, 1, n)
    true = 10 ** (-0.4 * (mag - TRUE))
    flux = true * 10 ** (-0.4 * slope * (mag - TRUE)) - extra_flux
    error = 0.002 * true
    return CalibrationStars(
        rng.normal(flux, error), error, rng.normal(mag, 0.002), np.full(n, 0.002), None, x, y
    )


def test_zero_point_of_a_tilted_and_bowed_frame_is_its_mean(rng: np.random.Generator) -> None:
    n = 500
    mag, x, y = rng.uniform(12, 17, n), rng.uniform(-1, 1, n), rng.uniform(-1, 1, n)
    shape = 0.05 * x - 0.03 * y + 0.04 * x**2
    flux = 10 ** (-0.4 * (mag - TRUE - shape))
    stars = CalibrationStars(flux, 0.003 * flux, mag, np.full(n, 0.003), None, x, y)

    found = fit_zero_point(stars, spatial_order=2)

    assert found.value == pytest.approx(TRUE + 0.04 / 3, abs=0.001)
    corner = found.at(np.array([1.0]), np.array([-1.0]))
    assert corner[0] == pytest.approx(TRUE + 0.05 + 0.03 + 0.04, abs=0.002)
    assert found.error_at(np.array([1.0]), np.array([-1.0]))[0] > found.error


def test_what_the_sky_was_misjudged_by_is_found(rng: np.random.Generator) -> None:
    stars = bent_stars(rng, extra_flux=2.0)

    plain = fit_zero_point(stars)
    found = fit_zero_point(stars, model=ZeroPointModel(background_order=0))

    assert found.background[0] == pytest.approx(2.0, rel=0.1)
    assert found.value == pytest.approx(TRUE, abs=0.003)
    assert abs(plain.value - TRUE) > 5 * abs(found.value - TRUE)
    assert stars.x is not None
    assert stars.y is not None
    mags = -2.5 * np.log10(stars.flux_per_s) + found.of_stars(stars.flux_per_s, stars.x, stars.y)
    assert np.median(np.abs(mags - stars.mag)) < 0.004


def test_nonlinearity_is_found_and_taken_off(rng: np.random.Generator) -> None:
    stars = bent_stars(rng, slope=0.02)

    found = fit_zero_point(stars, model=ZeroPointModel(has_nonlinearity=True))

    assert found.nonlinearity == pytest.approx(-0.02 / 1.02, abs=0.001)
    assert np.std(found.residual_mag) < 0.006


def test_a_colour_term_that_is_given_is_held(rng: np.random.Generator) -> None:
    stars = make_stars(rng, 300)

    found = fit_zero_point(stars, model=ZeroPointModel(colour_term=TERM))
    wrong = fit_zero_point(stars, model=ZeroPointModel(colour_term=0.0))

    assert found.colour_term == TERM
    assert found.colour_term_error == 0
    assert found.value == pytest.approx(TRUE, abs=4 * found.error)
    assert wrong.colour_term == 0
    assert wrong.scatter_mag > 2 * found.scatter_mag


def test_a_level_frame_gets_one_zero_point_and_a_tilted_one_a_slope(
    rng: np.random.Generator,
) -> None:
    level = [choose_zero_point(make_stars(rng, 200)) for _ in range(20)]
    tilted = choose_zero_point(make_stars(rng, 200, tilt=0.05))

    assert sum(bool(found.spatial) for found in level) <= 1
    assert tilted.spatial[0] == pytest.approx(0.05, abs=0.01)


def test_few_stars_get_no_slope_however_tilted(rng: np.random.Generator) -> None:
    assert choose_zero_point(make_stars(rng, 25, tilt=0.2)).spatial == ()


def test_stars_without_light_neither_count_nor_stop_a_background_term(
    rng: np.random.Generator,
) -> None:
    stars = bent_stars(rng, 60)
    stars.flux_per_s[:3] = (0.0, -5.0, np.nan)

    found = fit_zero_point(stars, model=ZeroPointModel(background_order=1))

    assert not found.is_used[:3].any()
    assert found.value == pytest.approx(TRUE, abs=0.01)


def test_what_all_stars_share_is_in_the_total_error_alone(rng: np.random.Generator) -> None:
    found = replace(fit_zero_point(make_stars(rng)), systematic_mag=0.01)

    assert found.total_error == pytest.approx(np.hypot(found.error, 0.01))


def test_a_slope_is_not_taken_for_scatter_of_the_stars(rng: np.random.Generator) -> None:
    n, found = 60, []
    for _ in range(60):
        mag, (x, y) = rng.uniform(14, 18, n), rng.uniform(-1, 1, (2, n))
        error = 0.01 * 10 ** (0.3 * (mag - 14))  # of the faintest 0.16
        inst = mag - TRUE - 0.04 * y + rng.normal(0, error)
        flux = 10 ** (-0.4 * inst)
        stars = CalibrationStars(flux, flux * error / 1.0857, mag, np.full(n, 0.003), x=x, y=y)
        found.append(choose_zero_point(stars))

    # Judged by the scatter of the fit without it, it is found in half of them.
    assert sum(bool(one.spatial) for one in found) >= 40
