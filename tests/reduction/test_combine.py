"""Combining stacks, against formulas written out in numpy."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from reduction.camera import Section
from reduction.combine import (
    Combined,
    CombineParams,
    Method,
    Noise,
    Run,
    combine,
    variance_of_result,
)
from reduction.errors import NotEnoughFramesError, ShapeMismatchError
from reduction.readout import RawRows, RowSource
from reduction.sources import ArrayRows, CorrectedRows
from reduction.stats import median_variance

Stack = npt.NDArray[np.float64]


def clipped(values: Stack, low: float, high: float) -> Stack:
    """Clip by the values' own scatter about their median until nothing more goes."""
    kept = np.sort(values)
    while True:
        centre, sigma = np.median(kept), np.std(kept)
        inside = kept[(kept >= centre - low * sigma) & (kept <= centre + high * sigma)]
        if inside.size == kept.size:
            return kept
        kept = inside


def clipped_by(values: Stack, low: float, high: float, noise: Noise) -> Stack:
    """Take off the furthest value while it is too far for the expected noise."""
    kept = list(np.sort(values))
    while len(kept) > 1:
        centre = float(np.median(kept))
        sigma = np.sqrt(noise.floor + noise.slope * max(centre, 0.0))
        below, above = centre - kept[0], kept[-1] - centre
        if above > high * sigma and above >= below:
            kept.pop()
        elif below > low * sigma:
            kept.pop(0)
        elif above > high * sigma:
            kept.pop()
        else:
            break
    return np.array(kept)


def survivors(values: Stack, params: CombineParams, noise: Noise | None) -> Stack:
    known = values[np.isfinite(values)]
    method = params.method
    if method == "sigma_clip" and values.size < 5:
        method = "average_sigma"
    if known.size == 0 or method in {"mean", "median"} or (method == "average_sigma" and not noise):
        return known
    if method == "sigma_clip":
        return clipped(known, params.low_sigma, params.high_sigma)
    assert noise is not None
    return clipped_by(known, params.low_sigma, params.high_sigma, noise)


def expect(stack: Stack, params: CombineParams, noise: Noise | None) -> tuple[Stack, Stack, Stack]:
    """Combine pixel by pixel in double precision."""
    shape = stack.shape[1:]
    data, variance, count = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    for place in np.ndindex(shape):
        kept = survivors(stack[(slice(None), *place)], params, noise)
        count[place] = kept.size
        if kept.size:
            data[place] = np.median(kept) if params.method == "median" else kept.mean()
        if kept.size > 1:
            variance[place] = np.var(kept, ddof=1)
    return data, variance, count


def raw_rows(plane: npt.NDArray[np.generic], offset: float = 0.0) -> RawRows:
    ny, nx = plane.shape
    return RawRows(plane, Section(0, ny, 0, nx), False, False, offset)


def assert_same(result: Combined, expected: tuple[Stack, Stack, Stack], scale: float) -> None:
    data, variance, count = expected
    np.testing.assert_array_equal(result.count, count)
    np.testing.assert_allclose(result.data, data, rtol=2e-6, atol=4e-6 * scale)
    np.testing.assert_allclose(result.variance, variance, rtol=2e-4, atol=1e-5 * scale**2)


METHODS: Sequence[Method] = ("mean", "median", "sigma_clip", "average_sigma")


@settings(max_examples=60, deadline=None)
@given(
    n=st.one_of(st.integers(1, 12), st.integers(13, 200)),
    shape=st.tuples(st.integers(1, 5), st.integers(1, 40)),
    method=st.sampled_from(METHODS),
    unknown=st.sampled_from([0.0, 0.05, 0.6]),
    thresholds=st.tuples(st.sampled_from([2.0, 3.0]), st.sampled_from([2.5, 4.0])),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_stack_combines_as_the_formula_says(
    n: int,
    shape: tuple[int, int],
    method: Method,
    unknown: float,
    thresholds: tuple[float, float],
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    stack = rng.normal(100, 5, (n, *shape))
    stack[rng.random(stack.shape) < 0.02] += 400
    stack[rng.random(stack.shape) < unknown] = rng.choice([np.nan, np.inf, -np.inf])
    stack = stack.astype(np.float32).astype(np.float64)
    params, noise = CombineParams(method, *thresholds), Noise(floor=20.0, slope=0.05)

    result = combine([ArrayRows(frame) for frame in stack], params=params, noise=noise)

    assert_same(result, expect(stack, params, noise), scale=500.0)


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 40),
    dtype=st.sampled_from(["<u2", ">u2", "<i2", ">i2", ">f4", "<f4", ">f8", ">i4", "u1"]),
    method=st.sampled_from(METHODS),
    shifted=st.booleans(),
    level=st.sampled_from([60, 120]),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_type_and_byte_order_gives_the_same_result(
    n: int, dtype: str, method: Method, shifted: bool, level: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    stored = np.rint(rng.normal(level, 6, (n, 4, 70)))
    stored[rng.random(stored.shape) < 0.01] = 250
    planes = stored.astype(dtype)
    levels = rng.normal(level, 3, (n, 4)).astype(np.float32) if shifted else np.zeros((n, 4), "f4")
    params, noise = CombineParams(method, 3.0, 3.0), Noise(floor=36.0)
    sources = [CorrectedRows(raw_rows(p, 7.0), row) for p, row in zip(planes, levels, strict=True)]

    result = combine(sources, params=params, noise=noise)

    values = planes.astype(np.float64) + 7.0 - levels[:, :, None].astype(np.float64)
    assert_close_where_undecided(result, values, params, noise)


def assert_close_where_undecided(
    result: Combined, values: Stack, params: CombineParams, noise: Noise
) -> None:
    """Compare but for pixels whose verdict hangs on the last bit of a float."""
    data, variance, count = expect(values, params, noise)
    agree = result.count == count
    assert np.mean(agree) > 0.98
    np.testing.assert_allclose(result.data[agree], data[agree], rtol=1e-5, atol=1e-3)
    np.testing.assert_allclose(result.variance[agree], variance[agree], rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("low_end", [0, 65000])
def test_counts_at_the_ends_of_their_range_are_not_lost(
    method: Method, low_end: int, rng: np.random.Generator
) -> None:
    stored = np.clip(low_end + rng.integers(0, 600, (9, 3, 50)), 0, 65535).astype(np.uint16)
    levels = rng.normal(300, 40, (9, 3)).round().astype(np.float32)
    params, noise = CombineParams(method, 3.0, 3.0), Noise(floor=170.0**2)
    sources = [CorrectedRows(raw_rows(p), row) for p, row in zip(stored, levels, strict=True)]

    result = combine(sources, params=params, noise=noise)

    values = stored.astype(np.float64) - levels[:, :, None]
    assert_same(result, expect(values, params, noise), scale=100.0)


@given(
    weights=st.lists(st.floats(0.1, 10), min_size=7, max_size=7),
    stack=arrays.arrays(np.float32, (7, 3, 20), elements=st.floats(0, 1000, width=32)),
)
@settings(max_examples=30, deadline=None)
def test_weights_act_on_the_mean_of_what_survives(
    weights: list[float], stack: npt.NDArray[np.float32]
) -> None:
    noise = Noise(floor=100.0**2)
    params = CombineParams("average_sigma", 3.0, 3.0)

    result = combine([ArrayRows(f) for f in stack], params=params, noise=noise, weights=weights)

    exact = np.array(weights, np.float32).astype(np.float64)
    for y, x in np.ndindex(3, 20):
        values = stack[:, y, x].astype(np.float64)
        kept = clipped_by(values, 3.0, 3.0, noise)
        inside = (values >= kept[0]) & (values <= kept[-1])
        mean = np.sum(values[inside] * exact[inside]) / np.sum(exact[inside])
        assert result.data[y, x] == pytest.approx(mean, rel=1e-5, abs=1e-4)


def test_scale_shift_and_mask_of_a_frame_are_applied(rng: np.random.Generator) -> None:
    stack = rng.normal(50, 1, (3, 4, 6))
    mask = np.zeros((4, 6), np.uint16)
    mask[2, 3] = 4

    result = combine(
        [
            ArrayRows(stack[0], mask=mask),
            ArrayRows(stack[1], scale=2.0),
            ArrayRows(stack[2], shift=-10.0),
        ],
        params=CombineParams("mean"),
    )

    values = np.stack([stack[0], 2 * stack[1], stack[2] - 10])
    expected = values.mean(axis=0)
    expected[2, 3] = values[1:, 2, 3].mean()
    np.testing.assert_allclose(result.data, expected, rtol=1e-6)
    assert result.count[2, 3] == 2


def test_one_hit_in_three_frames_is_rejected(rng: np.random.Generator) -> None:
    stack = rng.normal(1000, 5, (3, 10, 10))
    stack[1, 4, 6] += 2000

    result = combine(
        [ArrayRows(f) for f in stack], params=CombineParams("sigma_clip"), noise=Noise(25.0)
    )

    assert result.count[4, 6] == 2
    assert result.data[4, 6] == pytest.approx(stack[[0, 2], 4, 6].mean(), abs=1e-3)
    assert result.count.sum() == 299


def test_of_two_frames_the_hit_one_goes(rng: np.random.Generator) -> None:
    stack = rng.normal(1000, 5, (2, 8, 8))
    stack[0, 3, 3] += 500

    result = combine([ArrayRows(f) for f in stack], noise=Noise(25.0))

    assert result.data[3, 3] == pytest.approx(stack[1, 3, 3], abs=1e-3)


def test_two_hits_in_four_frames_do_not_take_the_good_values_with_them() -> None:
    stack = np.array([100.0, 101.0, 5000.0, 9000.0]).reshape(4, 1, 1)

    result = combine([ArrayRows(f) for f in stack], noise=Noise(25.0))

    assert result.data[0, 0] == pytest.approx(100.5)


def test_clipping_many_frames_biases_little_and_keeps_the_noise(rng: np.random.Generator) -> None:
    n, shape = 20, (200, 300)
    stack = rng.normal(1000, 5, (n, *shape)).astype(np.float32)

    result = combine([ArrayRows(f) for f in stack], params=CombineParams("sigma_clip", 3.0, 3.0))

    error = result.data - 1000
    assert abs(error.mean()) < 4 * 5 / np.sqrt(stack.size)
    assert error.std() == pytest.approx(5 / np.sqrt(n), rel=0.02)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [">i2", ">f4"])
def test_threads_and_repetition_change_no_byte(
    method: Method, dtype: str, rng: np.random.Generator
) -> None:
    planes = np.rint(rng.normal(500, 9, (11, 150, 90))).astype(dtype)
    sources = [CorrectedRows(raw_rows(p), np.full(150, 0.3, np.float32)) for p in planes]

    results = [
        combine(sources, params=CombineParams(method), noise=Noise(81.0), run=Run(threads))
        for threads in (1, 2, 2)
    ]

    for other in results[1:]:
        assert other.data.tobytes() == results[0].data.tobytes()
        assert other.variance.tobytes() == results[0].variance.tobytes()
        assert other.count.tobytes() == results[0].count.tobytes()


def test_input_is_left_as_it_was(rng: np.random.Generator) -> None:
    stack = rng.normal(10, 1, (6, 20, 20)).astype(np.float32)
    before = stack.copy()

    combine([ArrayRows(f) for f in stack], noise=Noise(1.0), run=Run(2))

    assert np.array_equal(stack, before)


def test_a_pixel_no_frame_knows_is_empty() -> None:
    stack = np.full((5, 3, 3), 7.0)
    stack[:, 1, 1] = np.nan

    result = combine([ArrayRows(f) for f in stack])

    assert (result.data[1, 1], result.variance[1, 1], result.count[1, 1]) == (0, 0, 0)
    assert result.count.sum() == 5 * 8


def test_memory_does_not_grow_with_the_frames() -> None:
    class Endless:
        """A frame that is made when it is read, and remembers the largest band."""

        largest = 0
        shape = (2000, 500)

        def read(self, y0: int, y1: int, out: npt.NDArray[np.float32]) -> None:
            Endless.largest = max(Endless.largest, out.nbytes)
            out[...] = 1.0

        def release(self, y0: int, y1: int) -> None:
            """Nothing is held."""

    few: list[RowSource] = [Endless() for _ in range(3)]
    combine(few)
    of_few = 3 * Endless.largest
    Endless.largest = 0
    many: list[RowSource] = [Endless() for _ in range(300)]

    combine(many)

    assert 300 * Endless.largest <= max(of_few, 300 * 500 * 4 * 10)


def test_progress_ends_at_one_and_never_goes_back() -> None:
    told: list[float] = []
    sources = [ArrayRows(np.ones((3000, 300), np.float32)) for _ in range(4)]

    combine(sources, run=Run(2, told.append))

    assert told == sorted(told)
    assert told[-1] == 1.0
    assert len(told) > 2


def test_a_band_that_fails_fails_the_combination() -> None:
    class Broken(ArrayRows):
        def read(self, y0: int, y1: int, out: npt.NDArray[np.float32]) -> None:
            raise OSError("the disk went away")

    with pytest.raises(OSError, match="disk went away"):
        combine([Broken(np.ones((50, 50)))], run=Run(2))


def test_no_frame_is_refused() -> None:
    with pytest.raises(NotEnoughFramesError, match="0 usable frames"):
        combine([])


def test_frames_of_different_size_are_refused() -> None:
    with pytest.raises(ShapeMismatchError, match="4 x 3, 5 x 3"):
        combine([ArrayRows(np.ones((3, 4))), ArrayRows(np.ones((3, 5)))])


@pytest.mark.parametrize("weights", [[1.0], [1.0, 0.0], [1.0, -2.0]])
def test_weights_that_are_none_are_refused(weights: list[float]) -> None:
    with pytest.raises(ValueError, match="positive weight"):
        combine([ArrayRows(np.ones((3, 4)))] * 2, weights=weights)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 9, 20])
@pytest.mark.parametrize("method", ["average_sigma", "median"])
def test_variance_of_the_result_is_that_of_its_error(
    n: int, method: Method, rng: np.random.Generator
) -> None:
    stack = rng.normal(100, 5, (n, 200, 300)).astype(np.float32)
    noise = Noise(floor=5.0, slope=0.2)
    params = CombineParams(method)

    result = combine([ArrayRows(f) for f in stack], params=params, noise=noise)

    variance = variance_of_result(result, noise, median=method == "median")
    assert np.var(result.data - 100) == pytest.approx(np.mean(variance), rel=0.02)
    share = median_variance(n) if method == "median" else 1 / n
    assert np.median(variance) == pytest.approx(25 * share, rel=0.02)


def test_a_pixel_noisier_than_the_rest_keeps_its_own_variance(rng: np.random.Generator) -> None:
    stack = rng.normal(100, 5, (20, 50, 50))
    stack[:, 10, 10] = rng.normal(100, 40, 20)
    params, noise = CombineParams("mean"), Noise(25.0)
    result = combine([ArrayRows(f) for f in stack], params=params)

    variance = variance_of_result(result, noise)

    assert variance[10, 10] == pytest.approx(np.var(stack[:, 10, 10], ddof=1) / 20, rel=1e-4)
    assert np.median(variance) == pytest.approx(25 / 20)
