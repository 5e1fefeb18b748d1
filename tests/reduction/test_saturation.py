"""Saturated pixels and what bleeds from them."""

from dataclasses import replace

import numpy as np
import pytest

from reduction.camera import Section
from reduction.flags import PixelFlag
from reduction.frameinfo import FrameInfo, FrameKind
from reduction.image import Image
from reduction.readout import RawRows
from reduction.recipes import CalibrateParams, Calibrations, calibrate
from reduction.saturation import SaturationParams, flag_bleeding, saturation_level
from tests.reduction.detector import Detector, pixels, with_plane

SATURATED = int(PixelFlag.SATURATED)
INFO = FrameInfo("", FrameKind.SCIENCE, 8, 5)


def rows(dtype: str, offset: float = 0.0) -> RawRows:
    return RawRows(np.zeros((5, 8), dtype), Section(0, 5, 0, 8), False, False, offset)


@pytest.mark.parametrize(
    ("stated", "bits", "dtype", "offset", "level"),
    [
        (50000.0, 16, "<u2", 0.0, 50000.0),
        (None, 12, ">i2", 0.0, 4095.0),
        (None, None, "<u2", 0.0, 65535.0),
        (None, None, ">i2", 32768.0, 65535.0),
        (None, None, ">f4", 0.0, float("inf")),
    ],
)
def test_level_is_the_best_that_is_known(
    stated: float | None, bits: int | None, dtype: str, offset: float, level: float
) -> None:
    found, guess = saturation_level(replace(INFO, bits=bits), stated, rows(dtype, offset))

    assert found == level
    assert (guess is None) == (stated is not None)


def column(values: list[float], saturated: float = 100.0) -> Image:
    data = np.zeros((len(values), 3), np.float32)
    data[:, 1] = values
    mask = np.where(data >= saturated, SATURATED, 0).astype(np.uint16)
    return Image(data, np.zeros_like(data), mask, "adu")


def whole(image: Image) -> Section:
    return Section(0, image.shape[0], 0, image.shape[1])


def test_long_run_bleeds_along_its_column_only() -> None:
    image = column([0, 0, 0, 60, 100, 100, 100, 70, 55, 0, 0, 0, 0])
    params = SaturationParams(bleed_fraction=0.5, bleed_grow_pix=1)

    flag_bleeding(image, whole(image), level=100.0, params=params)

    assert np.flatnonzero(image.mask[:, 1]).tolist() == [2, 3, 4, 5, 6, 7, 8, 9]
    assert not image.mask[:, [0, 2]].any()


def test_short_run_does_not_bleed() -> None:
    image = column([0, 90, 100, 100, 90, 0])
    before = image.mask.copy()

    flag_bleeding(image, whole(image), level=100.0, params=SaturationParams())

    assert np.array_equal(image.mask, before)


def test_bleeding_stops_at_the_edges_and_keeps_other_flags() -> None:
    image = column([90, 100, 100, 100])
    image.mask[0, 1] |= PixelFlag.BAD

    flag_bleeding(image, whole(image), level=100.0, params=SaturationParams())

    assert image.mask[:, 1].tolist() == [SATURATED | 1, SATURATED, SATURATED, SATURATED]


def test_bleeding_stays_in_its_amplifier() -> None:
    image = column([90, 90, 100, 100, 100, 100, 90, 90])
    image.data[:, 0] = image.data[:, 1]
    image.mask[:, 0] = image.mask[:, 1]

    flag_bleeding(image, Section(1, 7, 1, 3), level=100.0, params=SaturationParams())

    assert np.flatnonzero(image.mask[:, 1]).tolist() == [1, 2, 3, 4, 5, 6]
    assert np.flatnonzero(image.mask[:, 0]).tolist() == [2, 3, 4, 5]


def test_two_runs_in_one_column_are_both_followed() -> None:
    image = column([100, 100, 100, 0, 0, 0, 0, 100, 100, 100, 60])

    flag_bleeding(image, whole(image), level=100.0, params=SaturationParams(bleed_grow_pix=0))

    assert np.flatnonzero(image.mask[:, 1]).tolist() == [0, 1, 2, 7, 8, 9, 10]


def test_saturated_star_of_a_frame_is_flagged_with_its_bleeding(rng: np.random.Generator) -> None:
    camera = Detector(saturation_adu=40000.0)
    raw = camera.expose(FrameKind.SCIENCE, rng, 400.0, exptime_s=10.0)
    plane = pixels(raw)
    plane[90:110, 120] = 45000 - 32768
    plane[110:118, 120] = 30000 - 32768

    result = calibrate(
        with_plane(raw, plane),
        calibrations=Calibrations(),
        params=CalibrateParams(cosmic_rays=None),
    )

    flagged = np.argwhere(result.image.mask & SATURATED)
    assert set(flagged[:, 1]) == {120}
    assert flagged[:, 0].min() == 88
    assert flagged[:, 0].max() == 119
    assert result.counts["saturated"] == 32
