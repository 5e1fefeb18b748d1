"""Images from anywhere: their gains, saturation levels, masks and noise."""

from dataclasses import replace

import numpy as np
import pytest

from reduction.errors import BadFrameError
from reduction.flags import PixelFlag
from reduction.oneimage.picture import mask_of, picture_of, with_noise
from tests.reduction.oneimage.skies import INFO, SHAPE, light_of, make_field, make_picture


def test_values_that_are_none_are_flagged_and_filled(rng: np.random.Generator) -> None:
    data = rng.normal(100, 5, (60, 50))
    data[3, 4], data[5, 6] = np.nan, np.inf

    found = picture_of(data, INFO)

    assert np.isfinite(found.data).all()
    assert found.mask[3, 4] == found.mask[5, 6] == PixelFlag.NO_DATA
    assert not found.good[3, 4]
    assert np.isnan(data[3, 4])


@pytest.mark.parametrize(("data", "said"), [
    (np.full((50, 50), np.nan), "none of its pixels"),
    (np.zeros((4, 50)), "50 x 4 pixels is too small"),
])  # fmt: skip
def test_images_without_anything_are_refused(data: np.ndarray, said: str) -> None:
    with pytest.raises(BadFrameError, match=said):
        picture_of(data, INFO)


def test_gain_is_the_headers_else_one_unless_units_are_no_counts(
    rng: np.random.Generator,
) -> None:
    counts = rng.normal(500, 20, (100, 100))
    said = replace(INFO, gain_e_per_adu=1.7)

    assert picture_of(counts, said).usual_gain == 1.7
    assert picture_of(counts, INFO).usual_gain == 1.0
    assert picture_of(counts, said, unit="electron").usual_gain == 1.0
    nanomaggies = picture_of(counts / 1000, INFO)
    assert nanomaggies.usual_gain == pytest.approx(10 / 0.02, rel=0.05)


def test_saturation_and_mesh_have_sensible_defaults(rng: np.random.Generator) -> None:
    data = rng.normal(100, 1, (300, 400))
    data[5, 5] = 60_000

    found = picture_of(data, INFO)

    assert found.usual_saturation == pytest.approx(0.05 * 100 + 0.95 * 60_000, rel=1e-3)
    assert found.usual_mesh_pix == 150


def test_masks_hold_saturated_hit_and_hidden_pixels_and_spare_stars(
    rng: np.random.Generator,
) -> None:
    field = make_field(rng, 60)
    picture = make_picture(rng, light_of(field))
    hits = rng.integers(20, 380, (30, 2))
    for row, column in hits:
        picture.data[row, column] += 6000
    picture.data[10, 10] = 2e6
    hidden = np.zeros(SHAPE, bool)
    hidden[:5] = True

    found = mask_of(picture, saturation=1e6, gain=1.0, custom=hidden)
    spared = mask_of(picture, saturation=1e6, gain=1.0, has_cosmics=False)

    hit = (found & np.uint16(PixelFlag.COSMIC_RAY)) != 0
    assert hit[hits[:, 0], hits[:, 1]].mean() > 0.85
    assert not hit[np.rint(field.y).astype(int), np.rint(field.x).astype(int)].any()
    assert found[10, 10] & PixelFlag.SATURATED
    assert (found[:5] & np.uint16(PixelFlag.BAD) != 0).all()
    assert not (spared & np.uint16(PixelFlag.COSMIC_RAY)).any()
    with pytest.raises(BadFrameError, match="same size"):
        mask_of(picture, saturation=1e6, gain=1.0, custom=hidden[1:])


def test_noise_is_that_of_the_pixels(rng: np.random.Generator) -> None:
    picture = make_picture(rng, np.zeros(SHAPE), gain=2.0)

    found = with_noise(picture, picture.mask, gain=2.0, mesh_pix=100)

    true = (300 * 2.0 + 16) / 4
    assert float(np.median(found.variance)) == pytest.approx(true, rel=0.05)
    own = replace(picture, variance=np.full(SHAPE, 7.0, np.float32))
    assert (with_noise(own, own.mask, gain=2.0, mesh_pix=100).variance == 7).all()
