import numpy as np

from reduction.kernels import stars


def test_place_below_the_sky_has_no_width_and_stops_nothing() -> None:
    flat = np.full((40, 40), 100, dtype=np.float32)
    flat[20, 20] = 99
    widths = np.zeros(1)
    at = np.array([20.0])

    stars.half_max_widths(flat, np.array([300.0]), at, at, 10, widths)

    assert np.isnan(widths[0])
