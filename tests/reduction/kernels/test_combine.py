"""Combining floats: unknown values, masks, and values beyond all measure."""

import numpy as np
import pytest
from astropy.stats import sigma_clip
from hypothesis import given, settings
from hypothesis import strategies as st

from reduction.combine import CombineParams, Method, Noise, Run, combine
from reduction.sources import ArrayRows


@settings(max_examples=30, deadline=None)
@given(
    n=st.one_of(st.integers(1, 12), st.integers(13, 200)),
    nx=st.integers(1, 300),
    dtype=st.sampled_from([">f4", "<f4", ">f8", "<f8", ">i4", "<i4", ">i2", "<u2"]),
    masked=st.sampled_from([0.02, 0.3, 0.9]),
    method=st.sampled_from(["mean", "median"]),
    seed=st.integers(0, 2**32 - 1),
)
def test_masked_and_unknown_pixels_never_enter(
    n: int, nx: int, dtype: str, masked: float, method: Method, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    stack = np.rint(rng.normal(300, 9, (n, 3, nx))).astype(dtype)
    if stack.dtype.kind == "f":
        stack[rng.random(stack.shape) < 0.1] = rng.choice([np.nan, np.inf, -np.inf])
    masks = (rng.random(stack.shape) < masked).astype(np.uint16) * np.uint16(4)
    frames = [ArrayRows(a, m) for a, m in zip(stack, masks, strict=True)]

    result = combine(frames, params=CombineParams(method), run=Run(2))

    hidden = (masks != 0) | ~np.isfinite(stack.astype(np.float64))
    values = np.ma.masked_array(stack.astype(np.float64), hidden)
    formula = np.ma.median if method == "median" else np.ma.mean
    np.testing.assert_array_equal(result.count, n - hidden.sum(axis=0))
    np.testing.assert_allclose(result.data, np.ma.filled(formula(values, axis=0), 0), rtol=1e-6)
    one = np.ma.filled(values.var(axis=0, ddof=1), 0) if n > 1 else 0
    expected = np.where(result.count > 1, one, 0)
    np.testing.assert_allclose(result.variance, expected, rtol=2e-4, atol=2e-3)


@pytest.mark.parametrize("n", [5, 20, 60])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_clipping_floats_to_convergence_agrees_with_astropy(
    n: int, dtype: type[np.float32] | type[np.float64], rng: np.random.Generator
) -> None:
    noise = rng.normal(100, 3, (n, 30, 200))
    hits = 700 * (rng.random(noise.shape) < 0.01)
    stack = (noise + hits).astype(np.float32).astype(dtype)

    result = combine([ArrayRows(f) for f in stack], params=CombineParams("sigma_clip", 3.0, 3.0))

    kept = sigma_clip(stack.astype(np.float64), sigma=3, maxiters=None, axis=0)
    np.testing.assert_array_equal(result.count, n - np.ma.getmaskarray(kept).sum(axis=0))
    np.testing.assert_allclose(result.data, kept.mean(axis=0), rtol=4e-7)


@pytest.mark.parametrize("huge", [1e9, 1e15, 1e20, 3e38])
def test_a_value_beyond_all_measure_takes_no_good_one_with_it(
    huge: float, rng: np.random.Generator
) -> None:
    stack = rng.normal(100, 3, (20, 10, 60)).astype(np.float32)
    clean = combine([ArrayRows(f) for f in stack], params=CombineParams("sigma_clip", 3.0, 3.0))
    spoilt = np.concatenate([stack, np.full((1, 10, 60), huge, np.float32)])

    result = combine([ArrayRows(f) for f in spoilt], params=CombineParams("sigma_clip", 3.0, 3.0))

    assert np.array_equal(result.count, clean.count)
    np.testing.assert_allclose(result.data, clean.data, rtol=1e-6)


def test_noise_of_a_flagged_minority_is_expected_of_what_is_left(rng: np.random.Generator) -> None:
    stack = rng.normal(1000, 5, (16, 100, 300)).astype(np.float32)
    masks = np.zeros(stack.shape, np.uint16)
    masks[:7] = 1
    frames = [ArrayRows(a, m) for a, m in zip(stack, masks, strict=True)]

    result = combine(frames, noise=Noise(25.0))

    assert np.std(result.data - 1000) == pytest.approx(5 / np.sqrt(9), rel=0.02)
