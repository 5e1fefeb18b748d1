"""Amplifiers' pixels, turned and placed as they lie in the frame."""

import mmap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from reduction.camera import Amplifier, Section
from reduction.errors import BadFrameError, ShapeMismatchError
from reduction.exposure import Exposure
from reduction.frameinfo import FrameInfo, FrameKind
from reduction.image import native_rows
from reduction.readout import amplifiers, check_same_layout, data_rows, sample

AMP = Amplifier(0, Section(2, 7, 3, 11), None, Section(0, 5, 0, 8))


def exposure_of(
    plane: np.ndarray[tuple[int, int], np.dtype[np.generic]], amp: Amplifier = AMP
) -> Exposure:
    info = FrameInfo("", FrameKind.BIAS, nx=8, ny=5, amplifiers=(amp,))
    return Exposure(info, {0: plane}, {0: 100.0}, name="f.fits")


@pytest.mark.parametrize("flip_x", [False, True])
@pytest.mark.parametrize("flip_y", [False, True])
@pytest.mark.parametrize("dtype", ["<u2", ">u2", "<i2", ">i2", "<f4", ">f4", ">f8", ">i4", "u1"])
def test_rows_come_in_the_frames_order(
    flip_x: bool, flip_y: bool, dtype: str, rng: np.random.Generator
) -> None:
    plane = rng.integers(0, 200, (9, 14)).astype(dtype)
    amp = replace(AMP, flip_x=flip_x, flip_y=flip_y)
    expected = plane[2:7, 3:11].astype(np.float64) + 100
    expected = expected[:: -1 if flip_y else 1, :: -1 if flip_x else 1]
    out = np.empty((3, 8), np.float32)

    data_rows(exposure_of(plane, amp), amp).read(1, 4, out)

    assert np.array_equal(out, expected[1:4])


@pytest.mark.parametrize("dtype", ["<u2", ">i2"])
@pytest.mark.parametrize("value", [-32768, -1, 0, 1, 32767, 65535])
def test_every_count_is_decoded_exactly(dtype: str, value: int) -> None:
    limits = np.iinfo(np.dtype(dtype).str)
    value = min(max(value, limits.min), limits.max)
    plane = np.full((9, 14), value, dtype)
    out = np.empty((1, 8), np.float32)

    data_rows(exposure_of(plane), AMP).read(0, 1, out)

    assert (out == value + 100).all()


def test_nan_stays_nan() -> None:
    plane = np.ones((9, 14), ">f4")
    plane[3, 4] = np.nan
    out = np.empty((5, 8), np.float32)

    data_rows(exposure_of(plane), AMP).read(0, 5, out)

    assert np.argwhere(np.isnan(out)).tolist() == [[1, 1]]


def test_released_rows_of_a_map_are_read_again(tmp_path: Path, rng: np.random.Generator) -> None:
    stored = rng.integers(0, 60000, (600, 800)).astype(">u2")
    path = tmp_path / "plane"
    path.write_bytes(stored.tobytes())
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    plane = np.frombuffer(mapped, ">u2").reshape(600, 800)
    amp = Amplifier(0, Section(0, 600, 0, 800), None, Section(0, 600, 0, 800))
    rows = data_rows(Exposure(FrameInfo("", FrameKind.BIAS, 800, 600), {0: plane}), amp)
    first, again = np.empty((2, 600, 800), np.float32)

    rows.read(0, 600, first)
    rows.release(0, 600)
    rows.read(0, 600, again)

    assert np.array_equal(first, stored)
    assert np.array_equal(again, stored)


def test_sampled_rows_are_rows_of_the_frame(rng: np.random.Generator) -> None:
    plane = rng.integers(0, 200, (9, 14)).astype("<u2")

    rows = sample(data_rows(exposure_of(plane), AMP), 16)

    assert rows.shape == (2, 8)
    assert {tuple(r) for r in rows} <= {tuple(r) for r in plane[2:7, 3:11] + 100.0}


def test_a_frame_without_amplifiers_is_one() -> None:
    info = FrameInfo("", FrameKind.BIAS, 8, 5, hdus=(2,), gain_e_per_adu=1.2, read_noise_e=0.0)

    (amp,) = amplifiers(info)

    assert amp.hdu == 2
    assert amp.target == amp.data == Section(0, 5, 0, 8)
    assert amp.gain_e_per_adu == 1.2
    assert amp.read_noise_e is None  # a stated noise of nothing says nothing


def test_what_an_amplifier_says_goes_before_what_the_frame_says() -> None:
    info = FrameInfo("", FrameKind.BIAS, 8, 5, amplifiers=(replace(AMP, gain_e_per_adu=3.0),))

    (amp,) = amplifiers(replace(info, gain_e_per_adu=1.0, saturation_adu=5e4))

    assert (amp.gain_e_per_adu, amp.saturation_adu) == (3.0, 5e4)


@pytest.mark.parametrize(
    "amp",
    [
        replace(AMP, hdu=4),
        replace(AMP, data=Section(5, 10, 3, 11)),
        replace(AMP, data=Section(2, 7, -1, 7)),
        replace(AMP, overscan=Section(0, 9, 12, 15)),
        replace(AMP, data=Section(2, 2, 3, 11)),
    ],
)
def test_sections_outside_the_image_are_refused(amp: Amplifier) -> None:
    with pytest.raises(BadFrameError, match=r"f\.fits"):
        data_rows(exposure_of(np.zeros((9, 14), np.uint16)), amp)


def test_a_cube_is_refused() -> None:
    with pytest.raises(BadFrameError, match="no two-dimensional image"):
        data_rows(exposure_of(np.zeros((3, 9, 14), np.uint16)), AMP)


def test_a_section_of_another_size_than_its_place_is_refused() -> None:
    amp = replace(AMP, data=Section(2, 6, 3, 11))

    with pytest.raises(ShapeMismatchError, match="8 x 4 pixels but a place of 8 x 5"):
        data_rows(exposure_of(np.zeros((9, 14), np.uint16), amp), amp)


def test_frames_of_different_binning_are_refused_by_name() -> None:
    one = exposure_of(np.zeros((9, 14), np.uint16))
    other = replace(one, info=replace(one.info, binning_x=2), name="g.fits")

    with pytest.raises(ShapeMismatchError, match=r"f\.fits.*g\.fits.*binning 2 x 1"):
        check_same_layout([one, other])


@pytest.mark.parametrize("dtype", [">f4", "<f4"])
def test_rows_for_the_kernels_are_native_and_read_only(dtype: str) -> None:
    plane = np.arange(12, dtype=dtype).reshape(4, 3)

    rows = native_rows(plane[:, 1:], 1, 3)

    assert rows.dtype.isnative
    assert not rows.flags.writeable
    assert rows.tolist() == [[4, 5], [7, 8]]
