"""Cards and checksums as two other readers see them."""

import math

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from reduction.cards import Cards
from reduction.fitswrite import bytes_sum, encode_checksum, format_card, format_header

ASCII = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=300)


def read_back(raw: bytes, keyword: str) -> object:
    assert len(raw) % 80 == 0
    return Cards(raw).get(keyword)


@given(value=ASCII, comment=ASCII)
def test_string_survives_its_cards_whatever_its_length(value: str, comment: str) -> None:
    raw = format_card("KEY", value, comment)

    assert read_back(raw, "KEY") == value.rstrip() or value.rstrip().endswith("&")
    assert fits.Header.fromstring(raw)["KEY"] == value.rstrip() or value.rstrip().endswith("&")


@given(value=st.one_of(st.booleans(), st.integers(), st.floats(allow_nan=False, width=64)))
def test_number_survives_its_card_to_the_last_bit(value: float) -> None:
    raw = format_card("KEY", value, "comment")

    found = read_back(raw, "KEY")

    assert found == value if math.isfinite(value) else found is None


def test_number_that_is_not_finite_becomes_no_value() -> None:
    assert read_back(format_card("KEY", float("nan")), "KEY") is None
    assert fits.Header.fromstring(format_card("KEY", float("inf")))["KEY"] is None


def test_long_keyword_becomes_a_hierarch_card_that_others_read() -> None:
    raw = format_card("MASTER_TYPE", "BIAS", "type")

    assert fits.Header.fromstring(raw)["MASTER_TYPE"] == "BIAS"
    assert read_back(raw, "MASTER_TYPE") == "BIAS"


def test_line_breaks_and_foreign_letters_cannot_make_a_card_of_their_own() -> None:
    raw = format_card("OBJECT", "M 1\nEND\r\0é")

    assert read_back(raw, "OBJECT") == "M 1?END???"
    assert len(raw) == 80


def test_long_history_goes_over_several_cards() -> None:
    raw = format_card("HISTORY", "x" * 100)

    assert Cards(raw).commentary("HISTORY") == ["x" * 72, "x" * 28]


def test_header_fills_whole_blocks() -> None:
    raw = format_header([("SIMPLE", True, "")] * 36)

    assert len(raw) == 2 * 2880
    assert raw[36 * 80 : 36 * 80 + 4] == b"END "


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


def test_comment_without_room_loses_whole_words() -> None:
    value = "v" * 52

    card = format_card("BIASFILE", value, "master bias used").decode().rstrip()

    assert card == f"BIASFILE= '{value}' / master bias"
