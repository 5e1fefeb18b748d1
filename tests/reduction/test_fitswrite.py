"""Checksums as other readers see them, and files written whole or not at all."""

import fcntl
import hashlib
import io
import mmap
import os
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from reduction import wholefiles
from reduction.fitsio import read_headers
from reduction.fitswrite import (
    CHUNK,
    bytes_sum,
    encode_checksum,
    flags_hdu,
    float_hdu,
    primary_hdu,
    stage_hdus,
    write_hdus,
)


@given(st.binary(max_size=3000))
def test_sum_of_bytes_is_the_ones_complement_sum_of_their_words(data: bytes) -> None:
    total = 0
    padded = data + b"\0" * (-len(data) % 4)
    for i in range(0, len(padded), 4):
        total += int.from_bytes(padded[i : i + 4], "big")
    while total > 0xFFFFFFFF:
        total = (total & 0xFFFFFFFF) + (total >> 32)

    assert bytes_sum(data) == total


@pytest.mark.parametrize("total", [0, 1, 0xFFFFFFFF, 0x12345678, 868229149, 2503531142])
def test_encoded_checksum_is_letters_and_digits_that_complete_the_sum(total: int) -> None:
    text = encode_checksum(total)

    assert text.isalnum()
    assert len(text) == 16
    rotated = text[1:] + text[0]  # in the file it begins one byte past a word
    zeros = bytes_sum(b"0" * 16)
    assert (bytes_sum(rotated.encode()) - zeros + total) % 0xFFFFFFFF == 0


def test_encoding_agrees_with_astropys_for_many_sums() -> None:
    hdu = fits.ImageHDU(np.zeros((1, 1), np.uint8))
    rng = np.random.default_rng(7)

    for total in rng.integers(0, 2**32, 200, dtype=np.uint64):
        assert encode_checksum(int(total)) == hdu._char_encode(0xFFFFFFFF - int(total))


@pytest.mark.parametrize(
    "shape",
    [(1, 1), (1, 2), (1, 3), (3, 5), (7, 103), (36, 20), (1, 1441), (700, 801), (512, 1024)],
)
@pytest.mark.parametrize("flags", ["none", "all", "random"])
def test_every_sum_is_right_whatever_the_size(
    tmp_path: Path, rng: np.random.Generator, shape: tuple[int, int], flags: str
) -> None:
    data = rng.normal(0, 1e5, shape).astype(np.float32)
    mask = {
        "none": np.zeros(shape, np.uint16),
        "all": np.full(shape, 0xFFFF, np.uint16),
        "random": rng.integers(0, 2**16, shape).astype(np.uint16),
    }[flags]
    path = tmp_path / "a.fits"

    write_hdus(
        path, [primary_hdu([]), float_hdu([("EXTNAME", "A", "")], data), flags_hdu([], mask)]
    )

    assert path.stat().st_size % 2880 == 0
    with fits.open(path, checksum=True) as hdus:  # a wrong sum is a warning, and so an error
        assert [hdu.verify_checksum() for hdu in hdus] == [1, 1, 1]
        assert [hdu.verify_datasum() for hdu in hdus] == [1, 1, 1]
        np.testing.assert_array_equal(hdus[1].data, data)
        np.testing.assert_array_equal(hdus[2].data, mask)


def test_values_that_are_no_numbers_are_written_bit_by_bit(tmp_path: Path) -> None:
    bits = np.array([[0x7FC00001, 0xFF800000, 0x80000000, 0x00000001]], np.uint32)

    write_hdus(tmp_path / "a.fits", [primary_hdu([]), float_hdu([], bits.view(np.float32))])

    content = (tmp_path / "a.fits").read_bytes()
    assert content[5760:5776] == bits.astype(">u4").tobytes()
    with fits.open(tmp_path / "a.fits", checksum=True) as hdus:
        assert hdus[1].verify_datasum() == 1


@pytest.mark.parametrize("order", ["F", "C"])
@pytest.mark.parametrize("dtype", [">f4", "<f4", "f8"])
def test_planes_of_any_layout_are_written_as_they_look(
    tmp_path: Path, rng: np.random.Generator, order: str, dtype: str
) -> None:
    plane = np.asarray(rng.normal(0, 1, (30, 41)).astype(np.float32), dtype=dtype, order=order)  # type: ignore[call-overload]

    write_hdus(tmp_path / "a.fits", [primary_hdu([]), float_hdu([], plane[::2, 1:])])

    np.testing.assert_array_equal(fits.getdata(tmp_path / "a.fits"), plane[::2, 1:])


def test_file_is_the_same_whether_its_digest_is_taken_or_not(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    plane = rng.normal(0, 1e5, (3, CHUNK // 8 + 1)).astype(np.float32)
    mask = rng.integers(0, 2**16, plane.shape).astype(np.uint16)
    hdus = [primary_hdu([]), float_hdu([], plane), flags_hdu([], mask)]

    staged = [stage_hdus(tmp_path / "a.fits", hdus, digest=digest) for digest in (False, True)]

    plain, digested = (one.temporary.read_bytes() for one in staged)
    assert plain == digested
    assert staged[0].header_text == staged[1].header_text


def test_digest_and_text_are_those_of_the_file(tmp_path: Path, rng: np.random.Generator) -> None:
    plane = rng.normal(0, 1, (3, CHUNK // 8)).astype(np.float32)
    cards = [("OBJECT", "x" * 200, ""), ("HISTORY", "made", ""), ("END_DATE", "2026-11-20", "")]
    path = tmp_path / "a.fits"

    staged = stage_hdus(path, [primary_hdu(cards), float_hdu([], plane)], digest=True)
    staged.put()

    content = path.read_bytes()
    assert staged.sha256 == hashlib.sha256(content).hexdigest()
    assert staged.size == len(content)
    assert staged.header_text == read_headers(path).text


def test_pieces_of_a_large_file_are_such_as_go_to_the_disk_directly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int, int]] = []
    write_all = wholefiles._write_all

    def looking(file: io.FileIO, piece: memoryview) -> None:
        address = np.frombuffer(piece, np.uint8).ctypes.data
        is_direct = fcntl.fcntl(file, fcntl.F_GETFL) & os.O_DIRECT
        seen.append((address % mmap.PAGESIZE, len(piece), is_direct))
        write_all(file, piece)

    monkeypatch.setattr(wholefiles, "_write_all", looking)
    plane = np.zeros((5, CHUNK // 8), np.float32)

    write_hdus(tmp_path / "a.fits", [primary_hdu([]), float_hdu([], plane)])

    pieces, headers = seen[:3], seen[3:]
    assert [(place, size) for place, size, _ in pieces[:2]] == [(0, CHUNK), (0, CHUNK)]
    assert pieces[2][0] == 0
    assert sum(size for _, size, _ in pieces) == (tmp_path / "a.fits").stat().st_size
    # Still so when the last piece comes: the ones before were taken as they are.
    assert {is_direct for _, _, is_direct in pieces} == {pieces[0][2]}
    assert pieces[0][2] == (os.O_DIRECT if takes_direct_writes(tmp_path) else 0)
    assert {is_direct for _, _, is_direct in headers} == {0}
    assert CHUNK % mmap.PAGESIZE == 0


def takes_direct_writes(folder: Path) -> bool:
    try:
        os.close(os.open(folder / "try", os.O_CREAT | os.O_WRONLY | os.O_DIRECT))
    except OSError:
        return False
    return True
