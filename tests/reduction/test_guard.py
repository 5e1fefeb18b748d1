"""The guard: every kind of hostile or broken file is refused fast, small and by name."""

import gzip
import math
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reduction.errors import BadFileError
from reduction.fitsio import Limits, read_headers
from tests.reduction.headers.texts import card, header_bytes, image_lines

BYTES = 48 << 20  # astropy takes gigabytes


@contextmanager
def small() -> Iterator[None]:
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < BYTES


def refusal(path: Path) -> BadFileError:
    with small(), pytest.raises(BadFileError) as refused:
        read_headers(path)
    return refused.value


def write(path: Path, *lines: str, data: bytes = b"") -> Path:
    path.write_bytes(header_bytes(lines) + data)
    return path


def lines(
    *, bitpix: object = 16, naxis: object = 2, axes: tuple[object, ...] = (8, 8)
) -> list[str]:
    start = [card("SIMPLE", True), card("BITPIX", bitpix), card("NAXIS", naxis)]
    return [*start, *(card(f"NAXIS{i}", n) for i, n in enumerate(axes, 1))]


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (lines(bitpix=-64, axes=(200000, 200000)), "too_large"),
        (lines(bitpix=8, axes=(2**31, 2**31)), "too_large"),
        (lines(bitpix=8, naxis=999, axes=(2,) * 999), "bad_axes"),
        (lines(naxis=-1, axes=()), "bad_axes"),
        (lines(axes=(-10, 10)), "bad_axes"),
        (lines(axes=(10,)), "bad_header"),
        (lines(axes=("'ten'", 10)), "bad_header"),
        (lines(bitpix=12), "bad_bitpix"),
        (lines(bitpix="'16'"), "bad_header"),
        (lines(axes=(4000, 4000)), "truncated"),
        ([card("SIMPLE", True), card("NAXIS", 0)], "bad_header"),
        ([card("SIMPLE", True), card("BITPIX", 8)], "bad_header"),
        ([*lines(bitpix=8, naxis=1, axes=(1,)), card("PCOUNT", -5)], "bad_header"),
    ],
)
def test_header_that_cannot_be_followed_is_refused(
    tmp_path: Path, header: list[str], code: str
) -> None:
    error = refusal(write(tmp_path / "bad.fits", *header, data=b"\0" * 128))

    assert error.code == code
    assert str(error).endswith(".")


def test_empty_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "empty.fits"
    path.touch()

    assert refusal(path).code == "empty"


def test_header_without_end_is_refused_before_it_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "long.fits"
    path.write_bytes(
        "".join(line.ljust(80) for line in [*lines(naxis=0, axes=()), "COMMENT x" * 8]).encode()
        + b"COMMENT x".ljust(80) * 500_000
    )

    assert refusal(path).code == "header_too_long"


def test_short_file_without_end_is_truncated_in_its_header(tmp_path: Path) -> None:
    path = tmp_path / "cut.fits"
    path.write_bytes(header_bytes(lines())[:360])

    assert refusal(path).code == "truncated_header"


def test_header_of_two_megabytes_of_history_is_read(tmp_path: Path) -> None:
    history = ["HISTORY " + "x" * 72] * 26_000
    path = write(tmp_path / "old.fits", *lines(), *history, data=b"\0" * 2880)

    assert read_headers(path).hdus[0].shape == (8, 8)


@pytest.mark.parametrize(
    ("name", "magic"),
    [
        ("a.bz2", b"BZh91AY"),
        ("a.Z", b"\x1f\x9d\x90"),
        ("a.xz", b"\xfd7zXZ\0"),
        ("a.zip", b"PK\x03\x04"),
    ],
)
def test_unsupported_compression_is_named(tmp_path: Path, name: str, magic: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(magic + b"\0" * 100)

    error = refusal(path)

    assert error.code == "compression"
    assert "compression not supported" in str(error)


def test_gzip_bomb_that_promises_its_size_is_refused_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.fits.gz"
    with gzip.open(path, "wb", 1) as file:
        file.write(header_bytes(lines(bitpix=8, axes=(16384, 16384))))
        for _ in range(256):
            file.write(b"\0" * (1 << 20))

    assert refusal(path).code == "bomb"


def test_gzip_bomb_behind_a_small_image_is_never_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "tail.fits.gz"
    with gzip.open(path, "wb", 1) as file:
        file.write(header_bytes(lines()) + b"\0" * 2880)
        for _ in range(256):
            file.write(b"\0" * (1 << 20))

    with small():
        assert read_headers(path).hdus[0].shape == (8, 8)


def test_gzip_bomb_in_the_header_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "header.fits.gz"
    with gzip.open(path, "wb", 1) as file:
        file.write(header_bytes(lines())[:240])
        for _ in range(64):
            file.write(b" " * (1 << 20))

    assert refusal(path).code == "header_too_long"


def test_tile_compressed_bomb_is_refused(tmp_path: Path) -> None:
    plane = np.broadcast_to(np.int16(0), (8192, 8192))
    path = tmp_path / "bomb.fits.fz"
    fits.CompImageHDU(plane, compression_type="RICE_1").writeto(path)

    assert refusal(path).code == "bomb"


def test_table_that_lies_about_its_compressed_image_is_refused(tmp_path: Path) -> None:
    table = [card("XTENSION", "BINTABLE"), card("BITPIX", 8), card("NAXIS", 2)]
    table += [card("NAXIS1", 8), card("NAXIS2", 1), card("PCOUNT", 0), card("GCOUNT", 1)]
    table += [card("ZIMAGE", True), card("ZBITPIX", 16), card("ZNAXIS", 2)]
    table += [card("ZNAXIS1", 2**40), card("ZNAXIS2", 2**40)]
    path = tmp_path / "lie.fits"
    primary = header_bytes(lines(naxis=0, axes=()))
    path.write_bytes(primary + header_bytes(table) + b"\0" * 2880)

    assert refusal(path).code == "too_large"


def test_file_of_endless_hdus_is_refused(tmp_path: Path) -> None:
    extension = header_bytes(
        [card("XTENSION", "IMAGE"), card("BITPIX", 8), card("NAXIS", 0), card("PCOUNT", 0)]
    )
    path = tmp_path / "many.fits"
    path.write_bytes(header_bytes(lines(naxis=0, axes=())) + extension * 600)

    assert refusal(path).code == "too_many_hdus"


def test_limits_can_be_lowered(tmp_path: Path) -> None:
    path = write(tmp_path / "a.fits", *lines(axes=(100, 100)), data=b"\0" * 20160)

    with pytest.raises(BadFileError, match="100 x 100"):
        read_headers(path, limits=Limits(max_pixels=9_999))


def test_bytes_after_the_last_hdu_are_ignored(tmp_path: Path) -> None:
    data = b"\0" * 2880 + b"rubbish after the end" * 300
    path = write(tmp_path / "tail.fits", *lines(), data=data)

    assert len(read_headers(path).hdus) == 1


def test_data_without_padding_are_whole(tmp_path: Path) -> None:
    path = write(tmp_path / "bare.fits", *lines(), data=b"\0" * 128)

    assert read_headers(path).hdus[0].shape == (8, 8)


@pytest.mark.parametrize("cut", [1, 80, 1440, 2880, 2881, 4000])
def test_file_cut_anywhere_is_refused(tmp_path: Path, cut: int) -> None:
    path = write(tmp_path / "cut.fits", *lines(axes=(40, 40)), data=b"\0" * 3200)
    path.write_bytes(path.read_bytes()[:cut])

    assert refusal(path).code in ("truncated", "truncated_header", "not_fits")


def test_gzip_of_joined_members_is_read_through(tmp_path: Path) -> None:
    whole = header_bytes(lines()) + b"\0" * 2880
    path = tmp_path / "joined.fits.gz"
    path.write_bytes(gzip.compress(whole[:3000]) + gzip.compress(whole[3000:]))

    assert read_headers(path).hdus[0].shape == (8, 8)


def test_digest_tells_headers_apart_and_repeats(tmp_path: Path) -> None:
    one = write(tmp_path / "1.fits", *image_lines(card("OBJECT", "M 1")), data=b"\0" * 2880)
    same = write(tmp_path / "2.fits", *image_lines(card("OBJECT", "M 1")), data=b"\1" * 2880)
    other = write(tmp_path / "3.fits", *image_lines(card("OBJECT", "M 2")), data=b"\0" * 2880)

    digests = [read_headers(path).digest for path in (one, same, other)]

    assert digests[0] == digests[1] != digests[2]
    assert math.log2(16) * len(digests[0][1:]) == 128  # behind the mark


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    start=st.sampled_from([b"", b"SIMPLE  =                    T".ljust(80)]),
    body=st.lists(
        st.one_of(
            st.binary(min_size=80, max_size=80),
            st.sampled_from([line.encode().ljust(80) for line in lines()] + [b"END".ljust(80)]),
        ),
        max_size=40,
    ),
)
def test_any_bytes_are_read_or_refused_by_name(
    tmp_path: Path, start: bytes, body: list[bytes]
) -> None:
    path = tmp_path / "fuzz.fits"
    path.write_bytes(start + b"".join(body))

    try:
        found = read_headers(path)
    except BadFileError as error:
        assert error.code
    else:
        assert found.hdus
