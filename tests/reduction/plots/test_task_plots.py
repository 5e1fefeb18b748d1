"""Plots of single images: PNGs that show something, whatever is missing."""

import io

import numpy as np
import pytest
from PIL import Image

from reduction.plots import astrometry, limits, objects, zeropoint
from reduction.plots.canvas import BAD, GOOD, INK, LINE, MEDIAN
from reduction.plots.zeropoint import ZeroPoints

SHAPE = (300, 400)


def pixels(png: bytes) -> np.ndarray:
    """Return the picture in a PNG, which must be one."""
    with Image.open(io.BytesIO(png)) as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 250
        page = Image.new("RGBA", picture.size, "white")
        return np.asarray(Image.alpha_composite(page, picture.convert("RGBA")).convert("RGB"))


def colours(png: bytes) -> int:
    return len(np.unique(pixels(png).reshape(-1, 3), axis=0))


@pytest.fixture
def stars(rng: np.random.Generator) -> ZeroPoints:
    n = 80
    residual = rng.normal(0, 0.02, n)
    return ZeroPoints(
        rng.uniform(12, 18, n), np.full(n, 0.01), 25 + residual, residual, rng.random(n) > 0.1,
        rng.uniform(0.2, 1.4, n),
    )  # fmt: skip


def test_maps_and_plots_of_objects(rng: np.random.Generator) -> None:
    n = 60
    places = rng.uniform(0, 400, n), rng.uniform(0, 300, n)
    flagged, mag = rng.random(n) > 0.8, rng.uniform(-12, -6, n)
    fwhm = rng.normal(3, 0.2, n)
    plane = rng.normal(0, 1, SHAPE)

    assert colours(objects.objects_plot(plane, places, flagged)) > 100
    assert colours(objects.fwhm_map(places, fwhm, SHAPE, 3.0)) > 100
    assert colours(objects.fwhm_mag_plot(mag, fwhm, flagged, 3.0)) > 20
    assert colours(objects.prefilter_plot(mag, [("a", fwhm), ("b", mag)], flagged)) > 20
    assert colours(objects.background_plot(plane, np.abs(plane))) > 100


def test_plots_of_zero_points_and_their_maps(rng: np.random.Generator, stars: ZeroPoints) -> None:
    places = rng.uniform(0, 400, 80), rng.uniform(0, 300, 80)

    assert colours(zeropoint.zero_point_plot(stars, 25.0, 0.02, "stars")) > 20
    assert colours(zeropoint.colour_plot(stars, 0.1, "g - r")) > 20
    assert colours(zeropoint.zero_point_map(places, stars.zero, SHAPE)) > 50
    assert colours(zeropoint.residual_map(places, stars.residual, SHAPE)) > 50
    assert colours(zeropoint.model_map(np.add.outer(np.arange(30.0), np.arange(40.0)), SHAPE)) > 100


def test_a_wrong_zero_point_is_seen(stars: ZeroPoints) -> None:
    right = pixels(zeropoint.zero_point_plot(stars, 25.0, 0.02, "stars"))
    wrong = pixels(zeropoint.zero_point_plot(stars, 25.03, 0.02, "stars"))

    assert right.shape == wrong.shape
    assert (right != wrong).any()


def test_plots_of_offsets_and_limits(rng: np.random.Generator) -> None:
    offsets = rng.normal(0, 0.1, 50), rng.normal(0, 0.1, 50)
    mag = rng.uniform(12, 20, 200)
    signal = 10 ** (0.4 * (21 - mag))
    grid = np.linspace(12, 21, 30)

    assert colours(astrometry.distance_plot(offsets, 1.0, 0.5)) > 20
    assert colours(limits.limit_hist(mag, mag[:50] - 1, 20.2)) > 5
    plot = limits.limit_sn(mag, signal, mag > 19, (grid, 10 ** (0.4 * (21 - grid))), (5.0, 19.3))
    assert colours(plot) > 20


def test_plots_of_nothing_are_still_plots() -> None:
    none = np.empty(0)
    nobody = np.empty(0, bool)
    empty = ZeroPoints(none, none, none, none, nobody, None)

    assert colours(objects.objects_plot(np.zeros(SHAPE), (none, none), nobody)) > 1
    assert colours(objects.fwhm_map((none, none), none, SHAPE, 3.0)) > 1
    assert colours(zeropoint.zero_point_plot(empty, 25.0, 0.0, "none")) > 1
    assert colours(zeropoint.colour_plot(empty, None, "no colour")) > 1
    assert colours(astrometry.distance_plot((none, none), 1.0, 0.0)) > 1
    assert colours(limits.limit_hist(none, none, None)) > 1


def luminance(colour: str) -> float:
    """Return the relative luminance of a colour, as the contrast of texts is counted by."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]
    return float(np.dot((0.2126, 0.7152, 0.0722), linear))


@pytest.mark.parametrize("page", ["#1a1c1f", "#fffefb"])
@pytest.mark.parametrize("ink", [GOOD, BAD, LINE, MEDIAN, INK])
def test_plots_can_be_read_on_a_dark_page_and_on_a_bright_one(page: str, ink: str) -> None:
    dark, bright = sorted((luminance(page), luminance(ink)))

    assert (bright + 0.05) / (dark + 0.05) > 3


def test_plots_have_no_ground_of_their_own(stars: ZeroPoints) -> None:
    plot = zeropoint.zero_point_plot(stars, 25.0, 0.02, "stars")
    with Image.open(io.BytesIO(plot)) as picture:
        alpha = np.asarray(picture.convert("RGBA"))[..., 3]

    assert alpha[0, 0] == 0
    assert np.median(alpha) == 0
    assert alpha.max() == 255
