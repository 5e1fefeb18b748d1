"""Zero levels from the overscan."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from reduction.camera import Amplifier, Section
from reduction.errors import BadFrameError
from reduction.exposure import Exposure
from reduction.frameinfo import FrameInfo, FrameKind
from reduction.overscan import OverscanParams, fit_overscan

NY, NX, OVER = 400, 60, 32
NOISE = 3.0
AMP = Amplifier(0, Section(0, NY, 0, NX), Section(0, NY, NX, NX + OVER), Section(0, NY, 0, NX))
Plane = npt.NDArray[np.float64]


def drift() -> Plane:
    y = np.linspace(-1, 1, NY)
    return 1000 + 8 * y - 5 * y**2 + 3 * y**3


@pytest.fixture
def plane(rng: np.random.Generator) -> Plane:
    return np.asarray(np.rint(drift()[:, None] + rng.normal(0, NOISE, (NY, NX + OVER))))


def exposure_of(plane: Plane, dtype: str = ">i2") -> Exposure:
    return Exposure(FrameInfo("", FrameKind.BIAS, NX, NY), {0: plane.astype(dtype)}, name="f.fits")


def test_levels_follow_the_drift_along_the_columns(plane: Plane) -> None:
    fit = fit_overscan(exposure_of(plane), AMP)

    error = fit.levels - drift()
    assert np.abs(error).max() < 5 * np.sqrt(fit.variance) * 2  # the ends are known half as well
    assert np.mean(error**2) < 4 * fit.variance
    assert fit.noise_adu == pytest.approx(np.sqrt(NOISE**2 + 1 / 12), rel=0.03)


def test_levels_of_a_flipped_amplifier_are_in_the_frames_order(plane: Plane) -> None:
    upright = fit_overscan(exposure_of(plane), AMP)

    flipped = fit_overscan(exposure_of(plane), replace(AMP, flip_y=True))

    assert np.array_equal(flipped.levels, upright.levels[::-1])


def test_star_that_trails_into_the_overscan_does_not_move_the_level(plane: Plane) -> None:
    clean = fit_overscan(exposure_of(plane), AMP)
    plane[200:212, NX:] += 800  # over all columns
    plane[100, NX + 3 : NX + 9] += 20000  # over some

    fit = fit_overscan(exposure_of(plane), AMP)

    assert np.abs(fit.levels - clean.levels).max() < 0.3


def test_quiet_overscan_of_whole_numbers_is_not_rounded(rng: np.random.Generator) -> None:
    plane = np.rint(rng.normal(1000.3, 0.6, (NY, NX + OVER)))

    fit = fit_overscan(exposure_of(plane), AMP)

    assert np.mean(fit.levels) == pytest.approx(1000.3, abs=0.03)


def test_degree_is_the_one_asked_for(plane: Plane) -> None:
    fit = fit_overscan(exposure_of(plane), AMP, params=OverscanParams(order=0))

    assert np.ptp(fit.levels) == 0
    assert fit.levels[0] == pytest.approx(np.median(drift()), abs=2)


def test_overscan_above_the_data_gives_one_level(rng: np.random.Generator) -> None:
    plane = rng.normal(500, NOISE, (NY + 20, NX))
    plane[:NY] += 4000
    amp = replace(AMP, overscan=Section(NY, NY + 20, 0, NX))

    fit = fit_overscan(exposure_of(plane, ">f4"), amp)

    assert fit.levels.shape == (NY,)
    assert np.ptp(fit.levels) == 0
    assert fit.levels[0] == pytest.approx(500, abs=4 * NOISE / np.sqrt(20 * NX) * 1.3)


def test_overscan_of_part_of_the_rows_is_not_extrapolated(plane: Plane) -> None:
    amp = replace(AMP, overscan=Section(100, 300, NX, NX + OVER))

    fit = fit_overscan(exposure_of(plane), amp)

    assert np.ptp(fit.levels[:100]) == 0
    assert np.ptp(fit.levels[300:]) == 0
    assert np.abs(fit.levels[100:300] - drift()[100:300]).max() < 1


def test_amplifier_without_overscan_has_level_zero(plane: Plane) -> None:
    fit = fit_overscan(exposure_of(plane), replace(AMP, overscan=None))

    assert fit.noise_adu is None
    assert fit.variance == 0
    assert not fit.levels.any()


def test_unknown_pixels_are_left_out_and_all_unknown_is_refused(plane: Plane) -> None:
    plane[50:60, NX:] = np.nan
    plane[:, NX + 5] = np.nan

    fit = fit_overscan(exposure_of(plane, ">f4"), AMP)

    assert np.abs(fit.levels - drift()).max() < 1
    plane[:, NX:] = np.nan
    with pytest.raises(BadFrameError, match="overscan holds no number"):
        fit_overscan(exposure_of(plane, ">f4"), AMP)
