import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from reduction import fitsio
from reduction.errors import BadFileError
from reduction.imagewrite import write_image

DATA = np.random.default_rng(3).normal(size=(11, 17)).astype(np.float32)


def test_image_written_is_one_another_program_reads(tmp_path: Path) -> None:
    path = tmp_path / "image.fits"

    write_image(path, DATA, [("OBJECT", "M 31", "galaxy"), ("BZERO", 32768, ""), ("GAIN", 1.5, "")])

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with fits.open(path, checksum=True) as hdus:
            assert len(hdus) == 1
            assert np.array_equal(hdus[0].data, DATA)
            assert (hdus[0].header["OBJECT"], hdus[0].header["GAIN"]) == ("M 31", 1.5)
            assert "BZERO" not in hdus[0].header


@pytest.mark.parametrize("kind", ["plain", "gzip", "tiles"])
def test_image_is_read_with_its_cards_however_it_was_stored(tmp_path: Path, kind: str) -> None:
    stored = np.arange(500, dtype=np.uint16).reshape(20, 25)
    header = fits.Header({"OBJECT": "M 31", "EXPTIME": 30.0})
    path = tmp_path / ("image.fits.gz" if kind == "gzip" else "image.fits")
    if kind == "tiles":
        hdus = [fits.PrimaryHDU(), fits.CompImageHDU(stored, header, compression_type="RICE_1")]
    else:
        hdus = [fits.PrimaryHDU(stored, header)]
    fits.HDUList(hdus).writeto(path)

    found = fitsio.read_image(path)

    assert found.data.dtype == np.float32
    assert np.array_equal(found.data, stored)
    assert [(k, v) for k, v, _ in found.cards] == [("OBJECT", "M 31"), ("EXPTIME", 30.0)]


def test_extension_is_read_with_what_only_the_primary_says(tmp_path: Path) -> None:
    path = tmp_path / "image.fits"
    primary = fits.PrimaryHDU(header=fits.Header({"OBJECT": "M 31", "GAIN": 1.0}))
    first = fits.ImageHDU(DATA, fits.Header({"GAIN": 2.0}), name="SCI")
    fits.HDUList([primary, first, fits.ImageHDU(-DATA)]).writeto(path)

    found, last = fitsio.read_image(path), fitsio.read_image(path, -1)

    assert (found.hdu, last.hdu) == (1, 2)
    assert [(k, v) for k, v, _ in found.cards] == [("OBJECT", "M 31"), ("GAIN", 2.0)]
    assert np.array_equal(last.data, -DATA)


@pytest.mark.parametrize(("hdu", "code"), [(0, "no_image"), (9, "no_hdu"), (-3, "no_hdu")])
def test_extension_that_holds_none_is_refused(tmp_path: Path, hdu: int, code: str) -> None:
    path = tmp_path / "image.fits"
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(DATA)]).writeto(path)

    with pytest.raises(BadFileError) as refused:
        fitsio.read_image(path, hdu)

    assert refused.value.code == code


def test_blank_pixels_are_nan(tmp_path: Path) -> None:
    path = tmp_path / "image.fits"
    header = fits.Header({"BLANK": -5})
    stored = np.full((4, 4), 7, np.int16)
    stored[1, 2] = -5
    fits.PrimaryHDU(stored, header).writeto(path)

    found = fitsio.read_image(path)

    assert np.isnan(found.data[1, 2])
    assert np.nansum(found.data) == 15 * 7
    assert "BLANK" not in {keyword for keyword, _, _ in found.cards}
