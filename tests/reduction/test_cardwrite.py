"""Cards as two other readers see them."""

import math

from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from reduction.cards import Cards
from reduction.cardwrite import format_card, format_header

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


def test_comment_without_room_loses_whole_words() -> None:
    value = "v" * 52

    card = format_card("BIASFILE", value, "master bias used").decode().rstrip()

    assert card == f"BIASFILE= '{value}' / master bias"
