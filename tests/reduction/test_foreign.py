"""Masters of other programs as images."""

import numpy as np
import pytest

from reduction.errors import BadFrameError, ShapeMismatchError
from reduction.exposure import Exposure
from reduction.flags import PixelFlag
from reduction.foreign import foreign_master
from reduction.frameinfo import FrameInfo, FrameKind

SHAPE = (120, 160)


def made(kind: FrameKind, plane: np.ndarray, **values: object) -> Exposure:
    info = FrameInfo("another", kind, nx=plane.shape[1], ny=plane.shape[0], level=1)
    return Exposure(info, {0: plane}, name="theirs.fits", **values)  # type: ignore[arg-type]


def test_a_bias_keeps_its_level_and_gets_the_noise_it_shows(rng: np.random.Generator) -> None:
    plane = rng.normal(992.8, 2.0, SHAPE).astype(">f4")

    image = foreign_master(made(FrameKind.BIAS, plane))

    assert image.unit == "adu"
    np.testing.assert_allclose(image.data, plane.astype(np.float32))
    assert np.sqrt(image.variance[0, 0]) == pytest.approx(2.0, rel=4 / np.sqrt(2 * plane.size))


def test_a_flat_is_normalised_by_its_mode(rng: np.random.Generator) -> None:
    plane = rng.normal(18_600.0, 60.0, SHAPE).astype(np.float32)
    plane[:20] *= 0.7

    image = foreign_master(made(FrameKind.FLAT, plane))

    assert image.unit == "1"
    assert np.median(image.data[20:]) == pytest.approx(1.0, abs=0.002)
    assert np.median(image.data[:20]) == pytest.approx(0.7, abs=0.002)


def test_unsigned_pixels_stored_as_signed_ones_get_their_offset() -> None:
    plane = np.full(SHAPE, 1000 - 32768, ">i2")

    image = foreign_master(made(FrameKind.BIAS, plane, offset={0: 32768.0}))

    assert np.all(image.data == 1000)


def test_missing_and_masked_pixels_are_flagged_and_the_input_is_unchanged() -> None:
    plane = np.full(SHAPE, 5.0, np.float32)
    plane[3, 4] = np.nan
    before = plane.copy()
    mask = np.zeros(SHAPE, np.float32)
    mask[7, 8] = 1

    image = foreign_master(made(FrameKind.DARK, plane), mask=mask)

    assert image.mask[3, 4] == PixelFlag.NO_DATA
    assert image.data[3, 4] == 0
    assert image.mask[7, 8] == PixelFlag.BAD
    assert np.count_nonzero(image.mask) == 2
    np.testing.assert_array_equal(plane, before)


def test_a_master_without_a_number_or_a_flat_without_light_is_refused() -> None:
    with pytest.raises(BadFrameError, match="holds no number"):
        foreign_master(made(FrameKind.BIAS, np.full(SHAPE, np.nan, np.float32)))
    with pytest.raises(BadFrameError, match="lights nothing"):
        foreign_master(made(FrameKind.FLAT, np.zeros(SHAPE, np.float32)))


def test_a_mask_of_another_shape_is_refused() -> None:
    with pytest.raises(ShapeMismatchError, match="160 x 120"):
        foreign_master(
            made(FrameKind.BIAS, np.ones(SHAPE, np.float32)), mask=np.zeros((5, 5), np.float32)
        )
