import numpy as np
import pytest

from reduction.plots.depth import MOST_DOTS, signal_by_magnitude
from tests.reduction.plots.svg import numbers, of_class, starts, words_of


def field(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    mag = np.linspace(13, 20, n)
    return mag, 5 * 10 ** (-0.4 * (mag - 20.5)), np.arange(n)


def test_signal_falls_with_magnitude_evenly_on_its_scale() -> None:
    drawn = signal_by_magnitude(*field(50), 20.5)

    places = starts(of_class(drawn, "small")[0])
    slopes = np.diff(places[:, 1]) / np.diff(places[:, 0])
    assert np.all(slopes > 0)
    assert slopes == pytest.approx(slopes.mean(), rel=0.05)
    assert {"10", "100", "1,000"} <= set(words_of(drawn))


def test_depth_is_where_the_lines_meet() -> None:
    drawn = signal_by_magnitude(*field(50), 20.5)

    places = starts(of_class(drawn, "small")[0])
    path = of_class(drawn, "band")[0].get("d") or ""
    level, _, rest = path[1:].partition("H")
    y, x = float(level.split()[1]), float(rest.partition("V")[0])
    slope, offset = np.polyfit(places[:, 0], places[:, 1], 1)
    assert y == pytest.approx(slope * x + offset, abs=1.0)
    assert "5 σ" in words_of(drawn)


def test_depth_that_is_not_known_is_left_out() -> None:
    drawn = signal_by_magnitude(*field(50), None)

    assert "V" not in (of_class(drawn, "band")[0].get("d") or "")
    assert "nan" not in drawn


def test_sources_without_magnitude_or_signal_are_left_out() -> None:
    mag, snr, number = field(10)
    mag[2], snr[5], snr[6] = np.nan, 0.0, -3.0

    drawn = signal_by_magnitude(mag, snr, number, 20.5)

    assert numbers(of_class(drawn, "small")[0]) == [0, 1, 3, 4, 7, 8, 9]


def test_of_too_many_sources_bright_and_faint_ones_are_drawn() -> None:
    n = 3 * MOST_DOTS

    shown = numbers(of_class(signal_by_magnitude(*field(n), 20.5), "small")[0])

    assert len(shown) == MOST_DOTS
    assert (shown[0], shown[-1]) == (0, n - 1)
