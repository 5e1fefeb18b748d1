"""Repairs of files of several HDUs: nothing is lost, and what cannot be right is refused."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from reduction.filerepair import BadExtensionsError, cropped, destriped, fixed
from reduction.fitswrite import Hdu, write_hdus
from reduction.oneimage.repair import BadCropError

SHAPE = (30, 40)
LIMITS = (10, 5, None, None)
DATA = np.arange(1200, dtype=np.float32).reshape(SHAPE)
ON_SKY = fits.Header({
    "CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "CRPIX1": 20.0, "CRPIX2": 15.0,
    "CD1_1": -0.001, "CD2_2": 0.001, "DATASEC": "[1:40,1:30]",
})  # fmt: skip


def product(path: Path, *more: Any) -> Path:
    primary = fits.PrimaryHDU(header=fits.Header({"OBJECT": "M 31", "RADESYS": "ICRS"}))
    image = fits.ImageHDU(DATA, ON_SKY, name="SCI")
    variance = fits.ImageHDU(DATA.astype(np.float64) / 3, name="VAR")
    flags = fits.ImageHDU(DATA.astype(np.uint16), name="DQ")
    fits.HDUList([primary, image, variance, flags, *more]).writeto(path)
    return path


def table() -> fits.BinTableHDU:
    return fits.BinTableHDU.from_columns(
        [fits.Column("NAME", "7A", array=["one", "two"]), fits.Column("X", "D", array=[1.5, -2])],
        name="STARS",
    )


def written(path: Path, hdus: Sequence[Hdu]) -> fits.HDUList:
    write_hdus(path, hdus)
    with fits.open(path, checksum=True, memmap=False) as found:
        found.verify("exception")
        for hdu in found:
            assert hdu.data is None or len(hdu.data)
    return found


def test_every_header_is_mended_and_every_pixel_and_table_stays(tmp_path: Path) -> None:
    path = product(tmp_path / "a.fits", table())

    found = written(path, fixed(path))

    assert [hdu.name for hdu in found] == ["PRIMARY", "SCI", "VAR", "DQ", "STARS"]
    assert found["PRIMARY"].header["RADESYS"] == "ICRS"
    assert found["SCI"].header["CTYPE1"] == "RA---TAN"
    assert np.array_equal(found["VAR"].data, DATA.astype(np.float64) / 3)
    assert found["DQ"].data.dtype == np.uint16
    assert found["STARS"].data["NAME"].tolist() == ["one", "two"]
    assert found["STARS"].data["X"].tolist() == [1.5, -2.0]


def test_all_planes_are_cut_alike_and_stored_as_they_were(tmp_path: Path) -> None:
    path = product(tmp_path / "a.fits", table())

    found = written(path, cropped(path, LIMITS))

    for name, data in (("SCI", DATA), ("VAR", DATA.astype(np.float64) / 3), ("DQ", DATA)):
        assert np.array_equal(found[name].data, data[5:, 10:]), name
    assert found["DQ"].data.dtype == np.uint16
    assert (found["SCI"].header["CRPIX1"], found["SCI"].header["CRPIX2"]) == (10.0, 10.0)
    assert "DATASEC" not in found["SCI"].header
    assert len(found["STARS"].data) == 2


def test_stripes_are_taken_off_the_data_alone(tmp_path: Path) -> None:
    path = product(tmp_path / "a.fits")

    found = written(path, destriped(path, "both"))

    assert np.ptp(found["SCI"].data) == 0
    assert found["SCI"].header["CTYPE1"] == "RA---TAN-SIP"
    assert np.array_equal(found["VAR"].data, DATA.astype(np.float64) / 3)
    assert np.array_equal(found["DQ"].data, DATA.astype(np.uint16))


def test_image_before_a_table_is_mended_where_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    fits.HDUList([fits.PrimaryHDU(DATA.astype(np.int16)), table()]).writeto(path)

    flat = written(tmp_path / "b.fits", destriped(path, "both"))
    cut = written(tmp_path / "c.fits", cropped(path, LIMITS))

    assert np.ptp(flat[0].data) == 0
    assert np.array_equal(cut[0].data, DATA[5:, 10:])
    assert flat[1].name == cut[1].name == "STARS"


def test_image_that_is_alone_becomes_a_plain_one(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    packed = fits.CompImageHDU(DATA, fits.Header({"GAIN": 2.0}))
    fits.HDUList([fits.PrimaryHDU(header=fits.Header({"OBJECT": "M 31"})), packed]).writeto(path)

    (one,) = written(path, cropped(path, LIMITS))

    assert one.data.shape == (25, 30)
    assert (one.header["OBJECT"], one.header["GAIN"]) == ("M 31", 2.0)


def test_images_nobody_tells_apart_are_left_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(DATA), fits.ImageHDU(DATA)]).writeto(path)

    with pytest.raises(BadExtensionsError, match="2 images, and not one alone is called SCI"):
        cropped(path, LIMITS)
    with pytest.raises(BadExtensionsError, match="2 images, and not one alone is called SCI"):
        destriped(path, "both")
    assert len(fixed(path)) == 3


def test_planes_that_cannot_be_cut_with_the_image_are_named(tmp_path: Path) -> None:
    others = {
        "another size": fits.ImageHDU(DATA[1:], name="MASK"),
        "compressed": fits.CompImageHDU(DATA, name="MASK"),
        "a cube of 3 planes": fits.ImageHDU(np.stack([DATA] * 3), name="CUBE"),
    }
    for i, (said, other) in enumerate(others.items()):
        path = product(tmp_path / f"{i}.fits", other)
        with pytest.raises(BadCropError, match=f"its extension 4 .*{said}"):
            cropped(path, LIMITS)


def test_cube_loses_none_of_its_planes(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    fits.PrimaryHDU(np.stack([DATA, -DATA])).writeto(path)

    with pytest.raises(BadExtensionsError, match="a cube of 2 planes"):
        destriped(path, "both")
    with pytest.raises(BadCropError, match="a cube of 2 planes"):
        cropped(path, LIMITS)
    assert written(path, fixed(path))[0].data.shape == (2, *SHAPE)
