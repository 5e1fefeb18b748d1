"""Pixels in, products out."""

import ctypes
import ctypes.util
import gzip
import hashlib
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from astropy.io import fits

from reduction.errors import BadFileError
from reduction.fitsio import (
    ProductCard,
    content_sha256,
    open_exposure,
    read_headers,
    read_product,
    write_product,
)
from reduction.flags import PixelFlag
from reduction.frameinfo import FrameInfo
from reduction.headers import translate
from reduction.image import Image
from tests.reduction.headers.texts import card, write_image

CARDS: list[ProductCard] = [
    ("CREATOR", "Coelostat 0.1", "program that made this file"),
    ("INPUT1", "a_rather_long_file_name_" * 5 + ".fits", "it does not fit on one card"),
    ("START_DATE", "2026-11-20", ""),
    ("EXPTIME", 30.0, "[s]"),
]


@pytest.fixture
def image(rng: np.random.Generator) -> Image:
    mask = rng.integers(0, 2**16, (37, 51)).astype(np.uint16)
    data = rng.normal(1000, 30, (37, 51)).astype(np.float32)
    return Image(data, rng.uniform(1, 2, (37, 51)).astype(np.float32), mask, "electron")


def info_of(path: Path) -> FrameInfo:
    return translate(read_headers(path), file_name=path.name)[0]


def pixels(path: Path) -> npt.NDArray[np.float64]:
    exposure = open_exposure(path, info_of(path))
    (index,) = exposure.planes
    stored = np.asarray(exposure.planes[index], dtype=np.float64)
    return stored + exposure.offset.get(index, 0.0)


# --- exposures


def test_unsigned_frame_is_a_read_only_map_of_the_file_with_an_offset(tmp_path: Path) -> None:
    truth = np.arange(600, dtype=np.uint16).reshape(20, 30) * 109
    path = tmp_path / "raw.fits"
    fits.PrimaryHDU(truth).writeto(path)

    exposure = open_exposure(path, info_of(path), sha256=True)

    plane = exposure.planes[0]
    assert plane.dtype == np.dtype(">i2")
    assert not plane.flags.owndata
    assert not plane.flags.writeable
    assert exposure.offset == {0: 32768.0}
    assert exposure.name == "raw.fits"
    assert exposure.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    np.testing.assert_array_equal(plane.astype(int) + 32768, truth)


@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "u4", "i8", "f4", "f8"])
def test_every_stored_type_has_its_values(tmp_path: Path, dtype: str) -> None:
    truth = np.arange(600).reshape(20, 30).astype(dtype) % 250
    path = tmp_path / "raw.fits"
    fits.PrimaryHDU(truth).writeto(path)

    np.testing.assert_array_equal(pixels(path), truth.astype(float))


@pytest.mark.parametrize("kind", ["gzip", "RICE_1", "GZIP_2", "HCOMPRESS_1"])
def test_compressed_frame_has_the_values_of_the_plain_one(tmp_path: Path, kind: str) -> None:
    truth = (np.arange(4096, dtype=np.uint16) * 7).reshape(64, 64)
    path = tmp_path / "raw.fits"
    if kind == "gzip":
        fits.PrimaryHDU(truth).writeto(path)
        path = tmp_path / "raw.fits.gz"
        path.write_bytes(gzip.compress((tmp_path / "raw.fits").read_bytes()))
    else:
        fits.CompImageHDU(truth, compression_type=kind).writeto(path)

    np.testing.assert_array_equal(pixels(path), truth)


def test_scaled_integers_become_physical_values(tmp_path: Path) -> None:
    path = tmp_path / "scaled.fits"
    hdu = fits.PrimaryHDU(np.arange(12, dtype=np.int16).reshape(3, 4))
    hdu.header["BSCALE"], hdu.header["BZERO"] = 0.5, 100.0
    hdu.writeto(path)

    np.testing.assert_allclose(pixels(path), 100 + 0.5 * np.arange(12).reshape(3, 4))


def test_blank_pixels_become_nan_and_an_impossible_blank_none(tmp_path: Path) -> None:
    values = np.array([[1, 2], [-7, 4]], np.int16)
    for blank, expected in ((-7, [[1, 2], [np.nan, 4]]), (32768, [[1, 2], [-7, 4]])):
        hdu = fits.PrimaryHDU(values)
        hdu.header["BLANK"] = blank
        path = tmp_path / f"blank{blank}.fits"
        hdu.writeto(path, output_verify="ignore")

        np.testing.assert_array_equal(pixels(path), expected)


def test_third_axis_of_length_one_is_squeezed(tmp_path: Path) -> None:
    path = tmp_path / "deep.fits"
    fits.PrimaryHDU(np.arange(12, dtype=np.float32).reshape(1, 3, 4)).writeto(path)

    assert pixels(path).shape == (3, 4)
    assert info_of(path).unusable is None


def test_file_that_lost_its_image_since_is_refused(tmp_path: Path) -> None:
    path = write_image(tmp_path / "raw.fits")
    info = info_of(path)
    fits.PrimaryHDU().writeto(path, overwrite=True)

    with pytest.raises(BadFileError) as refused:
        open_exposure(path, info)

    assert refused.value.code == "changed"


def test_digest_of_the_content_is_sha256(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"abc")

    assert content_sha256(path) == hashlib.sha256(b"abc").hexdigest()


# --- products


def test_product_reads_back_as_it_was_written(tmp_path: Path, image: Image) -> None:
    path = tmp_path / "product.fits"

    write_product(path, image, CARDS, sci_cards=[("CRVAL1", 12.5, "[deg]")])
    found, cards = read_product(path)

    np.testing.assert_array_equal(found.data, image.data)
    np.testing.assert_array_equal(found.variance, image.variance)
    np.testing.assert_array_equal(found.mask, image.mask)
    assert found.unit == "electron"
    assert found.data.dtype == np.float32
    assert found.mask.dtype == np.uint16
    assert found.data.dtype.isnative
    assert found.data.flags.writeable
    for keyword, value, _ in [*CARDS, ("CRVAL1", 12.5, "")]:
        assert cards.get(keyword) == value
    assert [entry.name for entry in tmp_path.iterdir()] == ["product.fits"]


@pytest.mark.parametrize("unit", ["adu", "electron", "1"])
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (100, 101)])
def test_astropy_finds_every_checksum_right(
    tmp_path: Path, rng: np.random.Generator, unit: str, shape: tuple[int, int]
) -> None:
    data = rng.normal(0, 1, shape).astype(np.float32)
    image = Image(data, data**2, rng.integers(0, 9, shape).astype(np.uint16), unit)  # type: ignore[arg-type]
    path = tmp_path / "product.fits"

    write_product(path, image, CARDS)

    with fits.open(path, checksum=True) as hdus:  # a wrong sum is a warning, and so an error
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "SCI", "VAR", "DQ"]
        hdus.verify("exception")
        for hdu in hdus:
            assert hdu.verify_checksum() == hdu.verify_datasum() == 1
        np.testing.assert_array_equal(hdus["SCI"].data, image.data)
        np.testing.assert_array_equal(hdus["DQ"].data, image.mask)
        assert hdus["DQ"].data.dtype == np.uint16
        assert hdus[0].header["START_DATE"] == "2026-11-20"


def test_flags_are_named_in_the_header_of_dq(tmp_path: Path, image: Image) -> None:
    path = tmp_path / "product.fits"
    write_product(path, image, CARDS, dq_cards=[("MASKFILE", "bpm.fits", "")])

    header = fits.getheader(path, "DQ")

    for flag in PixelFlag:
        assert header[f"FLAG{int(flag).bit_length() - 1}"] == flag.name
    assert header["MASKFILE"] == "bpm.fits"


def test_cfitsio_opens_every_hdu_and_finds_its_checksums_right(
    tmp_path: Path, image: Image
) -> None:
    name = ctypes.util.find_library("cfitsio")
    if name is None:
        pytest.skip("no libcfitsio on this machine")
    library = ctypes.CDLL(name)
    path = tmp_path / "product.fits"
    write_product(path, image, CARDS)
    file, status = ctypes.c_void_p(), ctypes.c_int(0)

    library.ffopen(ctypes.byref(file), str(path).encode(), 0, ctypes.byref(status))
    assert status.value == 0
    for number in range(1, 5):
        library.ffmahd(file, number, None, ctypes.byref(status))
        data, hdu = ctypes.c_int(9), ctypes.c_int(9)
        library.ffvcks(file, ctypes.byref(data), ctypes.byref(hdu), ctypes.byref(status))
        assert (status.value, data.value, hdu.value) == (0, 1, 1)
    library.ffclos(file, ctypes.byref(status))


def test_flipped_bit_is_found_unless_asked_not_to_look(tmp_path: Path, image: Image) -> None:
    path = tmp_path / "product.fits"
    write_product(path, image, CARDS)
    content = bytearray(path.read_bytes())
    content[-9000] ^= 4
    path.write_bytes(content)

    with pytest.raises(BadFileError) as refused:
        read_product(path)

    assert refused.value.code == "checksum"
    assert read_product(path, verify=False)[0].shape == image.shape


def test_frame_of_a_camera_is_no_product(tmp_path: Path) -> None:
    path = write_image(tmp_path / "raw.fits", card("OBJECT", "M 1"))

    with pytest.raises(BadFileError) as refused:
        read_product(path)

    assert refused.value.code == "not_product"


@contextmanager
def files_no_larger_than(n_bytes: int) -> Iterator[None]:
    """Let the kernel refuse writes past a size, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("room", [0, 100, 2880, 9000, 20000, 34000])
def test_disk_that_fills_up_leaves_the_old_product_and_nothing_else(
    tmp_path: Path, image: Image, room: int
) -> None:
    path = tmp_path / "product.fits"
    write_product(path, image, CARDS)
    before = path.read_bytes()
    assert room < len(before)

    with files_no_larger_than(room), pytest.raises(OSError, match="large|space"):
        write_product(path, image, [*CARDS, ("NEW", 1, "")])

    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["product.fits"]


def test_folder_that_is_not_there_is_an_os_error(tmp_path: Path, image: Image) -> None:
    with pytest.raises(OSError, match="No such file"):
        write_product(tmp_path / "absent" / "product.fits", image, CARDS)


def test_same_product_is_the_same_bytes(tmp_path: Path, image: Image) -> None:
    write_product(tmp_path / "a.fits", image, CARDS)
    write_product(tmp_path / "b.fits", image, CARDS)

    assert (tmp_path / "a.fits").read_bytes() == (tmp_path / "b.fits").read_bytes()
