import io

import numpy as np
import pytest
from PIL import Image as Picture

from reduction import preview
from reduction.flags import PixelFlag
from reduction.image import FloatPlane
from reduction.preview import DisplayLimits

SKY = 1000.0
NOISE = 10.0


@pytest.fixture
def field() -> FloatPlane:
    rng = np.random.default_rng(5)
    plane = rng.normal(SKY, NOISE, (300, 400)).astype(np.float32)
    plane[100:103, 200:203] += 50_000
    return plane


def opened(png: bytes) -> Picture.Image:
    picture = Picture.open(io.BytesIO(png))
    assert picture.format == "PNG"
    return picture


def test_zscale_follows_the_sky_and_not_the_stars(field: FloatPlane) -> None:
    limits = preview.display_limits(field, "zscale")

    assert SKY - 12 * NOISE < limits.low < SKY < limits.high < SKY + 12 * NOISE


def test_minmax_shows_every_value(field: FloatPlane) -> None:
    field[0, 0] = np.nan

    limits = preview.display_limits(field, "minmax")

    assert limits == DisplayLimits(float(np.nanmin(field)), float(np.nanmax(field)))


@pytest.mark.parametrize("stretch", preview.STRETCHES)
def test_limits_are_ordered_even_without_any_signal(stretch: str) -> None:
    flat = preview.display_limits(np.full((20, 20), 7, dtype=np.float32), stretch)
    empty = preview.display_limits(np.full((20, 20), np.nan, dtype=np.float32), stretch)

    assert flat.low < 7 < flat.high
    assert empty == DisplayLimits(0, 1)


@pytest.mark.parametrize("stretch", preview.STRETCHES)
def test_every_stretch_keeps_the_order_of_values_and_its_ends(stretch: str) -> None:
    ramp = np.linspace(-10, 110, 241, dtype=np.float32)

    steps = preview.stretched(ramp, stretch, DisplayLimits(0, 100)).astype(int)

    assert (np.diff(steps) >= 0).all()
    assert (steps[ramp <= 0] == 0).all()
    assert (steps[ramp >= 100] == 255).all()


def test_faint_light_is_lifted_by_log_and_asinh() -> None:
    faint = np.array([5.0], dtype=np.float32)
    limits = DisplayLimits(0, 100)

    linear, log, asinh = (
        int(preview.stretched(faint, stretch, limits)[0]) for stretch in ("linear", "log", "asinh")
    )

    assert linear == round(0.05 * 255)
    assert log > 4 * linear
    assert asinh > 4 * linear


def test_nan_is_dark_and_changes_nothing_else(field: FloatPlane) -> None:
    before = field.copy()
    before[10, 10] = field[10, 10] = np.nan

    steps = preview.stretched(field, "linear", DisplayLimits(SKY - 50, SKY + 50))

    assert steps[10, 10] == 0
    assert steps[20, 20] > 0
    np.testing.assert_array_equal(field, before)


@pytest.mark.parametrize("cmap", [*preview.COLOUR_MAPS, "GRAY", "grey", "hot"])
def test_colour_map_can_be_turned_round(cmap: str) -> None:
    colours = preview.palette(cmap)

    assert colours.shape == (256, 3)
    np.testing.assert_array_equal(preview.palette(f"{cmap}_r"), colours[::-1])


def test_unknown_stretch_and_colour_map_are_refused_with_the_choices(field: FloatPlane) -> None:
    with pytest.raises(ValueError, match="choose one of gray"):
        preview.render(field, cmap="mauve")
    with pytest.raises(ValueError, match="choose one of zscale"):
        preview.render(field, stretch="bend")


def test_picture_has_the_width_asked_for_and_row_zero_at_the_bottom(field: FloatPlane) -> None:
    field[:150] = SKY + 1000  # the lower half, as FITS counts

    picture = opened(preview.render(field, stretch="linear", width=100)).convert("L")

    assert picture.size == (100, 75)
    shown = np.asarray(picture)
    assert shown[60].mean() > 200
    assert shown[10].mean() < 60


@pytest.mark.parametrize("width", [0, 400, 10_000])
def test_picture_is_never_enlarged(field: FloatPlane, width: int) -> None:
    assert opened(preview.render(field, width=width)).size == (400, 300)


def test_narrow_frame_keeps_at_least_one_row() -> None:
    strip = np.arange(2000, dtype=np.float32).reshape(2, 1000)

    assert opened(preview.render(strip, width=10)).size == (10, 1)


def test_smaller_picture_is_the_mean_of_what_it_covers(field: FloatPlane) -> None:
    small = preview.resized(field, 100)

    expected = field.reshape(75, 4, 100, 4).mean(axis=(1, 3))
    np.testing.assert_allclose(small, expected, rtol=1e-5)


def test_dead_pixels_do_not_spread_when_made_smaller(field: FloatPlane) -> None:
    field[8:12, 8:12] = np.nan

    small = preview.resized(field, 100)

    assert np.isfinite(small).all()
    assert small[2, 2] == pytest.approx(SKY, abs=5 * NOISE)


def test_halved_plane_is_the_mean_of_its_good_pixels() -> None:
    plane = np.array([[1, 3, 10], [5, np.nan, 20]], dtype=np.float32)

    half = preview.halved(plane)

    np.testing.assert_allclose(half, [[3, 15]])


def test_block_without_a_good_pixel_stays_nan() -> None:
    assert np.isnan(preview.halved(np.full((2, 2), np.nan, dtype=np.float32))).all()


def test_halving_keeps_the_mean_of_the_noise(field: FloatPlane) -> None:
    half = preview.halved(field)

    sky = half[:40]
    assert half.shape == (150, 200)
    assert sky.mean() == pytest.approx(SKY, abs=4 * NOISE / np.sqrt(sky.size * 4))
    assert sky.std() == pytest.approx(NOISE / 2, rel=0.05)


def test_halved_mask_keeps_every_flag() -> None:
    mask = np.zeros((3, 4), dtype=np.uint16)
    mask[0, 1] = PixelFlag.BAD
    mask[1, 0] = PixelFlag.SATURATED
    mask[2, 3] = PixelFlag.EDGE

    half = preview.halved_flags(mask)

    both = int(PixelFlag.BAD | PixelFlag.SATURATED)
    np.testing.assert_array_equal(half, [[both, 0], [0, int(PixelFlag.EDGE)]])


def test_most_serious_flag_gives_a_pixel_its_colour() -> None:
    flags = [0, PixelFlag.OBJECT, PixelFlag.OBJECT | PixelFlag.SATURATED, PixelFlag.BAD | 64]
    mask = np.array([[int(flag) for flag in flags]], dtype=np.uint16)

    colours = preview.flag_palette()[preview.flag_indices(mask)[0]]

    seen = [int(r) << 16 | int(g) << 8 | int(b) for r, g, b in colours[1:]]
    known = preview.FLAG_COLOURS
    assert seen == [known[f] for f in (PixelFlag.OBJECT, PixelFlag.SATURATED, PixelFlag.BAD)]


def test_every_flag_has_a_colour_of_its_own() -> None:
    assert set(preview.FLAG_COLOURS) == set(PixelFlag)
    assert len(set(preview.FLAG_COLOURS.values())) == len(PixelFlag)


def test_thumbnail_shows_the_star_and_a_grey_sky(field: FloatPlane) -> None:
    picture = opened(preview.thumbnail(field, width=80)).convert("L")

    shown = np.asarray(picture)
    assert picture.size == (80, 60)
    assert shown[60 - 1 - 20, 40] == 255
    assert 40 < np.median(shown) < 215


def test_thumbnail_of_a_frame_without_a_good_pixel_is_a_picture() -> None:
    blank = np.full((30, 40), np.nan, dtype=np.float32)

    assert opened(preview.thumbnail(blank, width=20)).size == (20, 15)
