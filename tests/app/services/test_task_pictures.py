import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from PIL import Image as Picture

from app.errors import InvalidRequestError
from app.services import task_pictures
from app.services.task_pictures import NotAnImageError
from reduction import fitsio
from reduction.errors import BadFileError

NX, NY = 50, 30


@pytest.fixture
def image(tmp_path: Path) -> Path:
    data = np.add.outer(np.arange(NY), np.arange(NX)).astype(np.float32)
    path = tmp_path / "image.fits"
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(data), fits.ImageHDU(-data)]).writeto(path)
    return path


def opened(made: tuple[bytes, str]) -> Any:
    return Picture.open(io.BytesIO(made[0]))


def test_first_image_is_shown_as_a_jpeg_the_right_way_up(image: Path) -> None:
    made = task_pictures.picture(image, {"cmap": "gray"})

    picture = opened(made)
    assert (made[1], picture.format, picture.size) == ("image/jpeg", "JPEG", (NX, NY))
    shown = np.asarray(picture.convert("L")).astype(int)
    assert shown[-1, 0] < shown[0, 0] < shown[0, -1]


def test_width_format_and_extension_are_chosen(image: Path) -> None:
    made = task_pictures.picture(image, {"width": "25", "format": "png", "ext": "2"})

    assert (made[1], opened(made).size) == ("image/png", (25, 15))
    assert opened(task_pictures.picture(image, {"width": "0"})).size == (NX, NY)


@pytest.mark.parametrize("stretch", ["linear", "log", "sqrt", "asinh"])
@pytest.mark.parametrize("cmap", ["Blues_r", "viridis", "RdBu", "cubehelix_r"])
def test_stretches_and_colour_maps_make_pictures(image: Path, stretch: str, cmap: str) -> None:
    options = {"stretch": stretch, "cmap": cmap, "qmin": "1", "qmax": "99", "r0": "1"}

    picture = opened(task_pictures.picture(image, options)).convert("RGB")

    assert len(np.unique(np.asarray(picture).reshape(-1, 3), axis=0)) > 20


@pytest.mark.parametrize(
    ("options", "field", "why"),
    [
        ({"width": "abc"}, "width", "Invalid numeric value"),
        ({"width": "-1"}, "width", "must be from 0"),
        ({"width": "99999999"}, "width", "must be from 0"),
        ({"qmin": "nan"}, "qmin", "must be from 0 to 100"),
        ({"r0": "1e9"}, "r0", "must be from 0 to 100"),
        ({"ext": "x"}, "ext", "Invalid numeric value"),
        ({"cmap": "nonsense"}, "cmap", "there is no colour map"),
        ({"stretch": "odd"}, "stretch", "must be one of"),
        ({"format": "tiff"}, "format", "must be one of jpeg, png"),
    ],
)
def test_option_nobody_can_use_is_refused(
    image: Path, options: dict[str, str], field: str, why: str
) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        task_pictures.picture(image, options)

    assert why in refused.value.fields[field]


@pytest.mark.parametrize("ext", ["0", "5"])
def test_extension_without_an_image_is_none(image: Path, ext: str) -> None:
    with pytest.raises(NotAnImageError):
        task_pictures.picture(image, {"ext": ext})


def test_picture_that_would_be_too_large_is_told_at_its_width(tmp_path: Path) -> None:
    path = tmp_path / "target.cutout"
    fits.writeto(path, np.zeros((40, 1), np.float32))

    with pytest.raises(InvalidRequestError) as refused:
        task_pictures.cutout(path, {"width": "2000"})

    assert "2000 x 80022 pixels" in refused.value.fields["width"]


def test_long_image_is_told_at_its_width(tmp_path: Path) -> None:
    path = tmp_path / "image.fits"
    fits.writeto(path, np.zeros((1, 70_000), np.int16))

    with pytest.raises(InvalidRequestError) as refused:
        task_pictures.picture(path, {"width": "0"})

    assert "too large" in refused.value.fields["width"]
    assert opened(task_pictures.picture(path, {"width": "100"})).size == (100, 1)


@pytest.mark.parametrize("act", [task_pictures.picture, task_pictures.cutout])
def test_file_that_unpacks_to_far_more_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, act: Any
) -> None:
    """Of a size the archive takes: what is refused is to unpack it for a picture."""
    path = tmp_path / "image.fits.gz"
    fits.writeto(path, np.zeros((200, 200), np.int16))
    monkeypatch.setattr(task_pictures, "LIMITS", fitsio.Limits(max_ratio=50, small_bytes=1000))

    with pytest.raises(NotAnImageError, match="too large to be shown"):
        act(path, {})


def test_image_of_too_many_pixels_is_not_read(tmp_path: Path) -> None:
    """A header alone: its pixels are not looked for."""
    path = tmp_path / "image.fits"
    cards = fits.Header([("SIMPLE", True), ("BITPIX", 8), ("NAXIS", 2)])
    cards["NAXIS1"], cards["NAXIS2"] = 10_001, 10_000
    path.write_bytes(cards.tostring().encode())

    with pytest.raises(NotAnImageError, match="too large to be shown"):
        task_pictures.picture(path, {})


def test_planes_too_large_for_a_strip_are_not_read(
    image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_pictures, "MOST_PIX", NX * NY)

    with pytest.raises(NotAnImageError, match="beside each other"):
        task_pictures.cutout(image, {})


def test_pictures_are_made_one_at_a_time(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def held(*_: object, **__: object) -> Any:
        assert not task_pictures.MAKING.acquire(blocking=False)
        raise BadFileError("no_image", "seen")

    monkeypatch.setattr(fitsio, "read_image", held)
    for act in (task_pictures.picture, task_pictures.cutout):
        with pytest.raises(NotAnImageError, match="seen"):
            act(image, {})

    assert task_pictures.MAKING.acquire(blocking=False)  # given back after a refusal
    task_pictures.MAKING.release()


def test_text_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "inspect.log").write_text("words")

    for act in (task_pictures.picture, task_pictures.cutout):
        with pytest.raises(NotAnImageError):
            act(tmp_path / "inspect.log", {})


def test_cutout_shows_its_planes_beside_each_other(tmp_path: Path) -> None:
    path = tmp_path / "target.cutout"
    planes = [fits.ImageHDU(np.random.default_rng(i).normal(size=(21, 21))) for i in range(3)]
    for plane, name in zip(planes, ("IMAGE", "MASK", "TEMPLATE"), strict=True):
        plane.name = name
    fits.HDUList([fits.PrimaryHDU(), *planes]).writeto(path)

    native = opened(task_pictures.cutout(path, {"format": "png"}))
    large = opened(task_pictures.cutout(path, {"width": "100"}))

    assert native.size == (3 * 21 + 2 * 4, 21 + 22)
    assert large.size == (3 * 100 + 2 * 4, 100 + 22)
    with pytest.raises(InvalidRequestError):
        task_pictures.cutout(path, {"width": "5000"})
