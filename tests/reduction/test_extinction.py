"""A clear sky is told from clouds."""

import numpy as np
import numpy.typing as npt
import pytest

from reduction.extinction import (
    Extinction,
    ExtinctionParams,
    fit_extinction,
    sky_brightness,
    typical_extinction,
)

Floats = npt.NDArray[np.float64]
PARAMS = ExtinctionParams(coefficient=0.12)
LEVEL, SLOPE = 24.1, 0.15


def night(
    rng: np.random.Generator, n: int, *, clouds: Floats | None = None, reach: float = 2.2
) -> tuple[Floats, Floats, Floats]:
    """Return airmass, zero point and error of a night, dimmed by clouds where some are given."""
    airmass = np.linspace(1.02, reach, n)
    zero_point = LEVEL - SLOPE * (airmass - 1) + rng.normal(0, 0.01, n)
    if clouds is not None:
        zero_point = zero_point - clouds
    return airmass, zero_point, np.full(n, 0.01)


def fitted(values: tuple[Floats, Floats, Floats]) -> Extinction:
    found = fit_extinction(*values, PARAMS)
    assert found is not None
    return found


def test_the_extinction_of_a_clear_night_is_within_its_error(rng: np.random.Generator) -> None:
    pulls = []
    for _ in range(200):
        found = fitted(night(rng, 40))
        assert found.is_fitted
        pulls.append(
            (
                (found.coefficient - SLOPE) / found.coefficient_error,
                (found.at_zenith - LEVEL) / found.at_zenith_error,
            )
        )

    assert np.abs(np.mean(pulls, axis=0)).max() < 4 / np.sqrt(200)
    assert np.std(pulls, axis=0) == pytest.approx([1.0, 1.0], abs=0.2)


@pytest.mark.parametrize("share", [0.2, 0.6])
def test_clouds_do_not_move_the_clear_sky(rng: np.random.Generator, share: float) -> None:
    clouds = np.where(rng.uniform(size=60) < share, rng.uniform(0.4, 2.5, 60), 0.0)

    found = fitted(night(rng, 60, clouds=clouds))

    assert found.at_zenith == pytest.approx(LEVEL, abs=0.02)
    assert found.coefficient == pytest.approx(SLOPE, abs=0.03)
    assert not found.is_clear[clouds > 0].any()
    assert found.is_clear[clouds == 0].mean() > 0.9


def test_one_zero_point_that_is_much_too_bright_is_not_the_clear_sky(
    rng: np.random.Generator,
) -> None:
    airmass, zero_point, error = night(rng, 30)
    zero_point[7] += 1.5

    found = fitted((airmass, zero_point, error))

    assert found.at_zenith == pytest.approx(LEVEL, abs=0.02)
    assert not found.is_clear[7]


def test_frames_of_one_airmass_take_the_coefficient_they_are_given(
    rng: np.random.Generator,
) -> None:
    found = fitted(night(rng, 30, reach=1.1))

    assert (found.is_fitted, found.coefficient, found.coefficient_error) == (False, 0.12, 0.0)
    assert found.at(np.array([1.5]))[0] == pytest.approx(found.at_zenith - 0.06)


def test_a_frame_without_a_number_is_not_clear_and_none_tell_nothing() -> None:
    values = np.array([1.0, 1.1, np.nan]), np.array([24.0, np.nan, 24.0]), np.full(3, 0.01)

    assert fitted(values).is_clear.tolist() == [True, False, False]
    assert fit_extinction(np.array([np.nan]), np.array([1.0]), np.array([0.1]), PARAMS) is None
    assert fit_extinction(np.empty(0), np.empty(0), np.empty(0), PARAMS) is None


def test_the_inputs_of_a_fit_are_not_changed(rng: np.random.Generator) -> None:
    values = night(rng, 20)
    before = [v.copy() for v in values]

    fit_extinction(*values, PARAMS)

    assert all(np.array_equal(a, b) for a, b in zip(values, before, strict=True))


def test_the_typical_extinction_is_that_of_green_1992() -> None:
    # His table for 0.51 micrometres at sea level and at 2 km, less its 0.016 of ozone.
    assert typical_extinction("F510", 0) == pytest.approx(0.1451 + 0.120, abs=0.002)
    assert typical_extinction("F510", 2000) == pytest.approx(0.113 + 0.032, abs=0.002)
    assert typical_extinction("u", 2000) > typical_extinction("V", 2000)
    assert typical_extinction(None, 0) == typical_extinction("no such band", 0)


def test_the_sky_is_as_bright_as_its_counts_in_a_square_arcsecond() -> None:
    # 400 counts in 100 s on pixels of half an arcsecond: 16 a second and square arcsecond.
    assert sky_brightness(24.0, 400.0, 100.0, 0.5) == pytest.approx(24 - 2.5 * np.log10(16))
    assert sky_brightness(24.0, -3.0, 100.0, 0.5) is None


def test_frames_that_fall_one_after_the_other_are_not_averaged_with_the_clear_ones() -> None:
    """NGC 2420 in V on 28 March 2021: the last three, of a minute each, saw clouds come in."""
    airmass = np.array([1.60, 1.61, 1.64, 1.66, 1.68])
    zero_point = np.array([23.207, 23.205, 23.009, 22.961, 22.876])

    found = fit_extinction(airmass, zero_point, np.full(5, 0.01), ExtinctionParams(0.15))

    assert found is not None
    assert found.is_clear.tolist() == [True, True, False, False, False]
    assert found.at(airmass[:2]) == pytest.approx(zero_point[:2], abs=0.01)
