import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from astropy.io import fits
from flask import Flask
from PIL import Image as Picture
from sqlalchemy import select

from app import paths
from app.db import db
from app.errors import InvalidRequestError, NotFoundError
from app.models import Frame
from app.services import ingest, previews
from app.services.previews import Look
from reduction import fitsio
from reduction.flags import PixelFlag
from reduction.image import Image
from reduction.preview import DisplayLimits
from tests.factories import make_frame

NY, NX = 300, 520


@pytest.fixture
def image() -> Image:
    rng = np.random.default_rng(3)
    data = rng.normal(100, 5, (NY, NX)).astype(np.float32)
    data[20, 30] = 5000
    data[40, 50] = np.nan
    mask = np.zeros((NY, NX), dtype=np.uint16)
    mask[20, 30] = int(PixelFlag.SATURATED | PixelFlag.COSMIC_RAY)
    return Image(data, np.full_like(data, 25), mask, "electron")


@pytest.fixture
def product_path(app: Flask, image: Image) -> Path:
    path = paths.current().data / "PROCESSED" / "one.fits"
    path.parent.mkdir(parents=True)
    fitsio.write_product(path, image, [])
    return path


@pytest.fixture
def reduced(product_path: Path) -> Frame:
    return make_frame(
        path="PROCESSED/one.fits", file_name="one.fits", level=2, nx=NX, ny=NY, unit="electron"
    )


@pytest.fixture
def raw(app: Flask) -> Frame:
    """A raw frame with an overscan strip on its left, scanned as any other."""
    hdu = fits.PrimaryHDU(np.arange(100 * 140, dtype=np.uint16).reshape(100, 140))
    hdu.header.update(
        {
            "IMAGETYP": "OBJECT",
            "DATE-OBS": "2025-11-20T22:00:00",
            "EXPTIME": 30.0,
            "INSTRUME": "TestCam",
            "TRIMSEC": "[41:140,1:100]",
            "BIASSEC": "[1:40,1:100]",
        }
    )
    path = paths.current().raw / "a.fits"
    hdu.writeto(path)
    an_hour_ago = path.stat().st_mtime - 3600
    os.utime(path, (an_hour_ago, an_hour_ago))
    ingest.scan("")
    return db.session.scalars(select(Frame)).one()


def shown(png: bytes) -> npt.NDArray[Any]:
    """Grey values with row 0 at the bottom, as the frame has them."""
    return np.asarray(Picture.open(io.BytesIO(png)).convert("L"))[::-1]


def test_viewer_is_told_size_levels_and_planes_of_a_product(reduced: Frame) -> None:
    found = previews.zoomable(reduced)

    assert (found.nx, found.ny, found.levels) == (NX, NY, 3)
    assert found.planes == ("SCI", "VAR", "DQ")
    assert 100 - 6 * 5 < found.limits.low < 100 < found.limits.high < 100 + 6 * 5


def test_tiles_of_the_full_level_are_the_pixels(reduced: Frame, image: Image) -> None:
    look = Look("linear", "gray", DisplayLimits(90, 110))

    left = shown(previews.tile(reduced, "SCI", (0, 0, 0), look))
    corner = shown(previews.tile(reduced, "SCI", (0, 2, 1), look))

    assert left.shape == (256, 256)
    assert corner.shape == (NY - 256, NX - 512)
    expected = np.clip((image.data[256:, 512:] - 90) / 20, 0, 1) * 255
    np.testing.assert_allclose(corner, expected, atol=0.51)


def test_coarse_tile_is_the_mean_of_what_it_covers(reduced: Frame, image: Image) -> None:
    look = Look("linear", "gray", DisplayLimits(90, 110))

    coarse = shown(previews.tile(reduced, "SCI", (2, 0, 0), look))

    assert coarse.shape == (75, 130)
    means = image.data[:300, :520].reshape(75, 4, 130, 4).mean(axis=(1, 3))
    expected = np.clip((means[30:, 30:] - 90) / 20, 0, 1) * 255
    np.testing.assert_allclose(coarse[30:, 30:], expected, atol=0.51)


def test_flags_are_coloured_and_survive_in_coarse_tiles(reduced: Frame) -> None:
    fine = Picture.open(io.BytesIO(previews.tile(reduced, "DQ", (0, 0, 0), Look())))
    coarse = Picture.open(io.BytesIO(previews.tile(reduced, "DQ", (2, 0, 0), Look())))

    assert fine.convert("RGB").getpixel((30, 255 - 20)) == (0xFF, 0xD2, 0x3F)
    assert coarse.convert("RGB").getpixel((30 // 4, 74 - 20 // 4)) == (0xFF, 0xD2, 0x3F)


@pytest.mark.parametrize("at", [(0, 3, 0), (0, 0, 2), (9, 0, 0)])
def test_tile_outside_the_frame_does_not_exist(reduced: Frame, at: tuple[int, int, int]) -> None:
    with pytest.raises(NotFoundError):
        previews.tile(reduced, "SCI", at, Look())


def test_pixel_of_a_product_has_value_variance_and_flag_names(reduced: Frame) -> None:
    found = previews.pixel(reduced, 30, 20)

    assert (found.sci, found.var, found.unit) == (5000, 25, "electron")
    assert found.flags == ("SATURATED", "COSMIC_RAY")
    assert found.dq == int(PixelFlag.SATURATED | PixelFlag.COSMIC_RAY)


def test_pixel_without_a_value_says_so(reduced: Frame) -> None:
    found = previews.pixel(reduced, 50, 40)

    assert (found.sci, found.dq, found.flags) == (None, 0, ())


@pytest.mark.parametrize(("x", "y"), [(-1, 0), (0, -1), (NX, 0), (0, NY)])
def test_pixel_outside_the_frame_is_refused(reduced: Frame, x: int, y: int) -> None:
    with pytest.raises(InvalidRequestError, match="520 x 300"):
        previews.pixel(reduced, x, y)


def test_raw_frame_is_shown_trimmed_in_adu_without_variance(raw: Frame) -> None:
    found = previews.zoomable(raw)
    pixel = previews.pixel(raw, 0, 1)

    assert (found.nx, found.ny, found.planes) == (100, 100, ("SCI",))
    assert pixel.sci == 140 + 40  # the second row, the first column behind the overscan
    assert (pixel.var, pixel.dq, pixel.flags) == (None, None, ())
    with pytest.raises(InvalidRequestError, match="raw frame has no variance"):
        previews.zoomable(raw, plane="VAR")


def test_thumbnail_is_made_once_and_again_when_the_file_changes(
    reduced: Frame, product_path: Path, image: Image
) -> None:
    first = previews.thumbnail(reduced)
    made = first.stat().st_mtime_ns
    again = previews.thumbnail(reduced)

    fitsio.write_product(product_path, Image(image.data * 2, image.variance, image.mask, "1"), [])
    changed = previews.thumbnail(reduced)

    assert again == first
    assert again.stat().st_mtime_ns == made
    assert changed != first
    small = Picture.open(io.BytesIO(changed.read_bytes()))
    assert small.size == (160, round(160 * NY / NX))


def test_thumbnail_that_came_with_the_frame_is_taken(reduced: Frame) -> None:
    given = paths.current().data / "THUMBS" / "one.png"
    given.parent.mkdir()
    given.write_bytes(b"a picture")
    reduced.thumb = "THUMBS/one.png"
    db.session.commit()

    assert previews.thumbnail(reduced) == given


def test_picture_has_the_width_asked_for_and_zero_is_full_size(reduced: Frame) -> None:
    small = previews.picture(reduced, stretch="asinh", cmap="viridis", width="130")
    full = previews.picture(reduced, stretch="zscale", cmap="gray_r", width="0")

    assert Picture.open(io.BytesIO(small)).size == (130, 75)
    assert Picture.open(io.BytesIO(full)).size == (NX, NY)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"width": "wide"}, "width"),
        ({"width": "-1"}, "width"),
        ({"width": "999999"}, "width"),
        ({"stretch": "bend"}, "stretch"),
        ({"cmap": "mauve"}, "cmap"),
    ],
)
def test_wrong_parameters_are_named(reduced: Frame, wrong: dict[str, str], field: str) -> None:
    options = {"stretch": "zscale", "cmap": "gray", "width": "100"} | wrong

    with pytest.raises(InvalidRequestError) as refusal:
        previews.picture(reduced, **options)

    assert list(refusal.value.fields) == [field]


def test_file_that_is_gone_is_not_found(reduced: Frame, product_path: Path) -> None:
    product_path.unlink()

    with pytest.raises(NotFoundError, match="not there at the moment"):
        previews.thumbnail(reduced)


def test_broken_file_is_refused_with_its_reason(reduced: Frame, product_path: Path) -> None:
    product_path.write_bytes(product_path.read_bytes()[:4000])

    with pytest.raises(InvalidRequestError, match="one.fits cannot be shown"):
        previews.picture(reduced, stretch="zscale", cmap="gray", width="0")


def test_cache_forgets_what_was_looked_at_longest_ago(
    reduced: Frame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(previews, "CACHE_BYTES", 1_000_000)
    previews.zoomable(reduced, plane="SCI")
    zoom = paths.current().cache / "previews" / "zoom"
    (old,) = zoom.iterdir()
    os.utime(old, (1, 1))

    previews.zoomable(reduced, plane="VAR")

    (kept,) = zoom.iterdir()
    assert kept.name.endswith("VAR")
