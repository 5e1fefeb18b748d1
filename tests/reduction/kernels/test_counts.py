"""Combining raw counts where they lie, against numpy's own formulas for whole planes."""

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from astropy.stats import sigma_clip
from hypothesis import given, settings
from hypothesis import strategies as st

from reduction.camera import Section
from reduction.combine import CombineParams, Method, Noise, Run, combine
from reduction.readout import RawRows
from reduction.sources import CorrectedRows
from reduction.stats import median_variance

Stack = npt.NDArray[np.float64]


def expected(values: Stack, method: Method, low: float, high: float, noise: Noise) -> Stack:
    """Return value, variance and count of every pixel, by masked numpy arrays."""
    kept = values.copy()
    if len(values) < 5 and method == "sigma_clip":
        method = "average_sigma"
    if method == "sigma_clip":
        while True:
            centre, sigma = np.nanmedian(kept, axis=0), np.nanstd(kept, axis=0)
            far = (kept < centre - low * sigma) | (kept > centre + high * sigma)
            if not far.any():
                break
            kept[far] = np.nan
    elif method == "average_sigma":
        leave_furthest(kept, low, high, noise)
    value = np.nanmedian(kept, axis=0) if method == "median" else np.nanmean(kept, axis=0)
    count = np.isfinite(kept).sum(axis=0)
    spread = np.nansum((kept - np.nanmean(kept, axis=0)) ** 2, axis=0) / np.maximum(count - 1, 1)
    return np.stack([value, np.where(count > 1, spread, 0), count])


def leave_furthest(kept: Stack, low: float, high: float, noise: Noise) -> None:
    """Take off every pixel's furthest value, one by one, the higher of two equally far ones."""
    while True:
        centre = np.nanmedian(kept, axis=0)
        sigma = np.sqrt(noise.floor + noise.slope * np.maximum(centre, 0))
        below, above = centre - np.nanmin(kept, axis=0), np.nanmax(kept, axis=0) - centre
        several = np.isfinite(kept).sum(axis=0) > 1
        top = several & (above > high * sigma) & ((above >= below) | (below <= low * sigma))
        bottom = several & (below > low * sigma) & ~top
        if not (top | bottom).any():
            return
        which = np.where(top, np.nanargmax(kept, axis=0), np.nanargmin(kept, axis=0))
        for place in np.argwhere(top | bottom):
            kept[(which[tuple(place)], *place)] = np.nan


@settings(max_examples=40, deadline=None)
@given(
    n=st.one_of(st.integers(1, 40), st.integers(41, 200)),
    nx=st.one_of(st.integers(1, 40), st.integers(500, 1100)),
    dtype=st.sampled_from(["<u2", ">u2", "<i2", ">i2"]),
    method=st.sampled_from(["mean", "median", "sigma_clip", "average_sigma"]),
    flips=st.tuples(st.booleans(), st.booleans()),
    shifts=st.sampled_from(["none", "whole", "large"]),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_stack_of_raw_counts_combines_as_numpy_says(
    n: int,
    nx: int,
    dtype: str,
    method: Method,
    flips: tuple[bool, bool],
    shifts: str,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    ny, offset = 3, 32768.0 if dtype[1] == "i" else 0.0
    counts = rng.normal(1000, 5, (n, ny + 2, nx + 5))
    counts[rng.random(counts.shape) < 0.01] = 65535
    stored = (np.clip(np.rint(counts), 0, 65535) - offset).astype(dtype)
    spread = {"none": 0, "whole": 20, "large": 900}[shifts]
    levels = rng.normal(0, spread, (n, ny)).round().astype(np.float32)
    box = Section(1, ny + 1, 3, nx + 3)
    rows = [RawRows(plane, box, flips[0], flips[1], offset) for plane in stored]
    noise, thresholds = Noise(floor=24.7), (2.9, 3.3)

    result = combine(
        [CorrectedRows(row, level) for row, level in zip(rows, levels, strict=True)],
        params=CombineParams(method, *thresholds),
        noise=noise,
        run=Run(threads=2),
    )

    values = stored[:, 1 : ny + 1, 3 : nx + 3].astype(np.float64) + offset
    values = values[:, :: -1 if flips[1] else 1, :: -1 if flips[0] else 1]
    values = values - levels[:, :, None]
    value, variance, count = expected(values, method, *thresholds, noise)
    agree = result.count == count
    assert np.mean(agree) > 0.999  # a verdict may hang on the last bit of a double
    # Sums are taken in single precision about the first frame's value, which may be saturated;
    # a median is no sum, and what some values are left out of is taken anew.
    is_sum = agree & (count == n) & (method != "median")
    exact = agree & ~is_sum
    np.testing.assert_allclose(result.data[is_sum], value[is_sum], rtol=2e-6, atol=65535 / 2**23)
    np.testing.assert_allclose(result.data[exact], value[exact], rtol=2e-6, atol=1e-4)
    np.testing.assert_allclose(result.variance[agree], variance[agree], rtol=2e-4, atol=1e-4)


def raw_stack(rng: np.random.Generator, n: int) -> npt.NDArray[np.generic]:
    """Return frames of noise as cameras write them, with particle hits."""
    counts = rng.normal(1000, 6, (n, 40, 700))
    counts[rng.random(counts.shape) < 0.003] += rng.exponential(3000)
    return (np.clip(np.rint(counts), 0, 65535) - 32768).astype(">i2")


@pytest.mark.parametrize("n", [5, 20, 37])
def test_clipping_to_convergence_agrees_with_astropy(n: int, rng: np.random.Generator) -> None:
    stored = raw_stack(rng, n)
    rows = [RawRows(plane, Section(0, 40, 0, 700), False, False, 32768.0) for plane in stored]

    result = combine(rows, params=CombineParams("sigma_clip", 3.0, 3.0))

    values = stored.astype(np.float64) + 32768
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kept = sigma_clip(values, sigma=3, maxiters=None, axis=0)
    np.testing.assert_array_equal(result.count, n - np.ma.getmaskarray(kept).sum(axis=0))
    np.testing.assert_allclose(result.data, kept.mean(axis=0), rtol=2e-7)
    np.testing.assert_allclose(result.variance, kept.var(axis=0, ddof=1), rtol=1e-5)


def test_counts_of_a_mapped_file_are_the_same_as_in_memory(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    stored = raw_stack(rng, 6)
    (tmp_path / "frames").write_bytes(b"head" * 720 + stored.tobytes())
    mapped = np.memmap(tmp_path / "frames", ">i2", "r", 2880, stored.shape)
    params, box = CombineParams("sigma_clip", 3.0, 3.0), Section(0, 40, 0, 700)

    of_file, of_memory = (
        combine([RawRows(p, box, False, False, 32768.0) for p in planes], params=params)
        for planes in (mapped, stored)
    )

    assert of_file.data.tobytes() == of_memory.data.tobytes()
    assert of_file.count.tobytes() == of_memory.count.tobytes()


def test_rows_whose_pixels_do_not_lie_side_by_side_are_combined_too(
    rng: np.random.Generator,
) -> None:
    stored = raw_stack(rng, 7)
    box = Section(0, 40, 0, 350)

    result = combine([RawRows(p[:, ::2], box, False, False, 0.0) for p in stored])

    np.testing.assert_allclose(result.data, stored[:, :, ::2].mean(axis=0), rtol=1e-6, atol=1e-2)


MEMORY = """
import sys
import numpy as np
from pathlib import Path
from reduction.combine import CombineParams, Run, combine
from reduction.exposure import Exposure
from reduction.frameinfo import FrameInfo, FrameKind
from reduction.readout import amplifiers, data_rows

def peak_mb():
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024

def combined(n):
    info = FrameInfo("test", FrameKind.BIAS, 1024, 1024)
    planes = [np.memmap(sys.argv[1], sys.argv[2], "r", 0, (1024, 1024)) for _ in range(n)]
    rows = [data_rows(Exposure(info, {0: plane}), amplifiers(info)[0]) for plane in planes]
    return combine(rows, params=CombineParams("sigma_clip", 3.0, 3.0), run=Run(2))

combined(5)
before = peak_mb()
combined(500)
print(peak_mb() - before)
"""


@pytest.mark.parametrize("dtype", [">i2", ">f4"])
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="/proc tells the peak")
def test_five_hundred_frames_take_the_memory_of_a_few(
    dtype: str, tmp_path: Path, rng: np.random.Generator
) -> None:
    path = tmp_path / "frame"
    content = np.rint(rng.normal(1000, 5, (1024, 1024))).astype(dtype).tobytes()
    with path.open("wb", buffering=0) as file:
        # What is written at once, the system may hold as one page and map as a whole.
        for start in range(0, len(content), 4096):
            file.write(content[start : start + 4096])
    command = [sys.executable, "-c", MEMORY, str(path), dtype]

    done = subprocess.run(command, capture_output=True, text=True, check=True)

    in_memory_mb = 500 * path.stat().st_size / 2**20
    assert float(done.stdout) < 160 < in_memory_mb / 5


@pytest.mark.parametrize("dtype", ["<u2", ">f4"])
@pytest.mark.parametrize("method", ["mean", "median", "sigma_clip", "average_sigma"])
def test_noise_of_the_result_is_the_one_predicted(
    dtype: str, method: Method, rng: np.random.Generator
) -> None:
    sigma, n, box = 8.0, 15, Section(0, 200, 0, 1000)
    frames = np.rint(rng.normal(1000, sigma, (n, *box.shape))).astype(dtype)

    result = combine(
        [RawRows(plane, box, False, False, 0.0) for plane in frames],
        params=CombineParams(method),
        noise=Noise(sigma**2),
    )

    rounding = 1 / 12  # of whole counts, an error of its own
    share = median_variance(n) if method == "median" else 1 / n
    predicted = np.sqrt((sigma**2 + rounding) * share)
    assert np.std(result.data - 1000) == pytest.approx(predicted, rel=0.02)
    assert np.mean(result.variance) == pytest.approx(sigma**2 + rounding, rel=0.02)
