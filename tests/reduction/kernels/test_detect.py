"""What is above a threshold, and what belongs together: as slow plain arrays say."""

import numpy as np
import numpy.typing as npt
import pytest
from scipy.ndimage import convolve1d, label

from reduction.kernels.blends import Rules, deblend
from reduction.kernels.detect import Filter, Sky, find_runs, group
from reduction.kernels.mesh import Pixels
from reduction.photometry.background import smooth_surface

TAPS = np.array([0.3, 0.7, 1.0, 0.7, 0.3], np.float32)


def flat_sky(shape: tuple[int, int], noise: float) -> Sky:
    level = smooth_surface(np.zeros((2, 2)), shape, max(shape))
    rms = smooth_surface(np.full((2, 2), noise), shape, max(shape), degree=1)
    return Sky(level.pieces, rms.pieces, level.starts, level.middles)


def smoothed(
    plane: npt.NDArray[np.float64], taps: npt.NDArray[np.float32]
) -> npt.NDArray[np.float64]:
    along = convolve1d(plane, taps.astype(float), axis=0, mode="constant")
    return np.asarray(convolve1d(along, taps.astype(float), axis=1, mode="constant"))


@pytest.mark.parametrize("rows", [(0, 90), (20, 61)])
def test_runs_are_where_the_matched_filter_passes(
    rows: tuple[int, int], rng: np.random.Generator
) -> None:
    data = rng.normal(0, 2, (90, 150)).astype(np.float32)
    data[40:44, 70:75] += 12
    data[0, 149] += 40
    mask = (rng.uniform(size=data.shape) < 0.02).astype(np.uint16)
    variance = rng.uniform(1.5, 4, data.shape).astype(np.float32)
    matched = Filter(TAPS, np.float32(2.5))

    runs, is_all = find_runs(
        Pixels(data, mask, np.uint16(1)), variance, flat_sky(data.shape, 2.0), matched, rows, 10**6
    )

    weight = np.where(mask == 0, 1.0 / np.clip(variance, 1, 4), 0.0)
    signal = smoothed(np.asarray(data * weight, np.float64), TAPS) / np.sqrt(
        smoothed(weight, TAPS**2)
    )
    expected = signal >= 2.5
    expected[: rows[0]], expected[rows[1] :] = False, False
    found = np.zeros(data.shape, bool)
    for y, x0, x1 in zip(runs.y, runs.x0, runs.x1, strict=True):
        found[y, x0:x1] = True
    assert is_all
    assert np.count_nonzero(found != expected) <= 2  # on the threshold, by the last digit
    assert found[42, 72]


def test_groups_are_those_of_pixels_that_touch(rng: np.random.Generator) -> None:
    data = np.where(rng.uniform(size=(60, 80)) < 0.3, 100.0, 0.0).astype(np.float32)
    pixels = Pixels(data, np.zeros(data.shape, np.uint16), np.uint16(1))
    one = Filter(np.array([0, 1, 0], np.float32), np.float32(4))

    runs, _ = find_runs(pixels, np.ones_like(data), flat_sky(data.shape, 1.0), one, (0, 60), 10**6)
    members = group(runs)

    labels, n = label(data > 0, np.ones((3, 3)))
    assert len(members.first) - 1 == n
    for k in range(n):
        part = slice(members.first[k], members.first[k + 1])
        same = labels[members.y[part], members.x[part]]
        assert same.min() == same.max() > 0
        assert np.count_nonzero(labels == same[0]) == len(same)


def test_too_much_above_the_threshold_is_said() -> None:
    data = np.full((300, 1000), 50.0, np.float32)
    pixels = Pixels(data, np.zeros(data.shape, np.uint16), np.uint16(1))
    matched = Filter(TAPS, np.float32(4))

    _, is_all = find_runs(
        pixels, np.ones_like(data), flat_sky(data.shape, 1.0), matched, (0, 300), 1000
    )

    assert not is_all


@pytest.mark.parametrize(("apart", "n_expected"), [(3.0, 1), (9.0, 2)])
def test_two_peaks_are_parted_where_there_is_a_saddle(apart: float, n_expected: int) -> None:
    y, x = np.mgrid[:50, :60].astype(np.float32)
    near = np.exp(-((x - 20) ** 2 + (y - 25) ** 2) / 8)
    far = 0.5 * np.exp(-((x - 20 - apart) ** 2 + (y - 25) ** 2) / 8)
    data = (1000 * (near + far)).astype(np.float32)
    pixels = Pixels(data, np.zeros(data.shape, np.uint16), np.uint16(1))
    matched = Filter(np.array([0.5, 1, 0.5], np.float32), np.float32(4))
    runs, _ = find_runs(
        pixels, np.ones_like(data), flat_sky(data.shape, 1.0), matched, (0, 50), 10**6
    )
    members = group(runs)

    owner, n, is_blended = deblend(members, Rules(4.0, 32, 0.005, 5, 3, 1.0, 7.1))

    assert n == n_expected
    assert is_blended.all() == (n > 1)
    assert (owner >= 0).all()
    if n == 2:
        left, right = owner[members.x < 22], owner[members.x > 28]
        assert len(np.unique(left)) == len(np.unique(right)) == 1
        assert left[0] != right[0]
