import numpy as np
import pytest

from reduction import snapshot
from reduction.preview import DisplayLimits
from reduction.snapshot import (
    MOST_SIDE_PIX,
    TooLargePictureError,
    TooSmoothPictureError,
    View,
    check,
    percentile_limits,
    smoothed,
    strip,
    take,
)


def test_percentiles_are_those_of_the_finite_pixels() -> None:
    data = np.arange(101, dtype=np.float32).reshape(1, 101)
    data = np.concatenate([data, np.full((1, 101), np.nan, np.float32)])

    assert percentile_limits(data, 10, 90) == DisplayLimits(10.0, 90.0)
    assert percentile_limits(data, 90, 10) == DisplayLimits(10.0, 90.0)


@pytest.mark.parametrize("value", [np.nan, 5.0])
def test_image_without_range_has_limits_all_the_same(value: float) -> None:
    limits = percentile_limits(np.full((4, 4), value, np.float32), 1, 99)

    assert limits.low < limits.high


def test_smoothing_keeps_the_light_and_spreads_it_as_a_gaussian() -> None:
    data = np.zeros((41, 41), np.float32)
    data[20, 20] = 1.0

    found = smoothed(data, 2.0)

    x = np.arange(41) - 20
    assert found.sum() == pytest.approx(1, abs=1e-4)
    assert (found * x**2).sum() == pytest.approx(4.0, rel=0.02)
    assert data[20, 20] == 1.0


def test_smoothing_leaves_masked_pixels_out_and_far_ones_masked() -> None:
    data = np.full((40, 40), 3.0, np.float32)
    data[:, 20:] = np.nan

    found = smoothed(data, 1.0)

    assert np.allclose(found[:, :20], 3.0, atol=1e-4)
    assert np.isnan(found[:, 30:]).all()


def test_no_smoothing_changes_nothing() -> None:
    data = np.ones((3, 3), np.float32)

    assert smoothed(data, 0.0) is data


def test_picture_with_a_side_no_jpeg_has_is_refused() -> None:
    with pytest.raises(TooLargePictureError, match="70000 x 1 pixels"):
        take(np.zeros((1, MOST_SIDE_PIX + 5_000), np.float32), View(width=0))


def test_picture_is_bounded_as_it_is_made_not_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "MOST_PIX", 1_000)
    data = np.zeros((100, 100), np.float32)

    assert take(data, View(width=20))
    with pytest.raises(TooLargePictureError):
        take(data, View(width=0))


@pytest.mark.parametrize(
    ("shapes", "width"),
    [([(40, 1)], 2000), ([(100, 100)] * 20, 2000), ([(1, 40_000)] * 2, 0)],
)
def test_strip_is_bounded_before_its_planes_are_enlarged(
    shapes: list[tuple[int, int]], width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "stretched", None)  # nothing is made

    with pytest.raises(TooLargePictureError):
        strip([("IMAGE", np.zeros(shape, np.float32)) for shape in shapes], View(width=width))


def test_image_is_made_smaller_before_it_is_smoothed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[tuple[int, ...], float]] = []

    def noted(data: np.ndarray, sigma_pix: float) -> np.ndarray:
        asked.append((data.shape, sigma_pix))
        return data

    monkeypatch.setattr(snapshot, "smoothed", noted)
    take(np.ones((50, 100), np.float32), View(width=25, smooth_pix=8.0))

    assert asked == [((12, 25), 2.0)]


def test_smoothing_that_takes_too_long_is_refused_with_what_does_not() -> None:
    with pytest.raises(
        TooSmoothPictureError, match=r"2000 pixels wide: ask for (\S+) at most"
    ) as told:
        check(2000, 2000, View(width=0, smooth_pix=100))
    most = float(str(told.value).split("ask for ")[1].split()[0])

    check(2000, 2000, View(width=0, smooth_pix=most))
    check(2000, 2000, View(width=800, smooth_pix=100))  # a smaller picture
    with pytest.raises(TooSmoothPictureError):
        take(np.zeros((2000, 2000), np.float32), View(width=0, smooth_pix=100))
