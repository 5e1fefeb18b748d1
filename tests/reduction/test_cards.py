"""Cards: every form of value, keyword and damage that headers hold."""

import math

import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from reduction.cards import Cards, FileHeaders, HduHeader
from reduction.cardvalues import parse_value

ASCII = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60)


def cards(*lines: str) -> Cards:
    return Cards.from_text(list(lines))


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("KEY     =                   42", 42),
        ("KEY     =                 -1.5 / comment", -1.5),
        ("KEY     = 1.0D+01", 10.0),
        ("KEY     = 1.5d-3", 0.0015),
        ("KEY     = +3.276800000000E+004", 32768.0),
        ("KEY     =                    T/CCDSOFT", True),
        ("KEY     =                    F", False),
        ("KEY     = 'text    ' / comment", "text"),
        ("KEY     = 'O''Neill / Smith'", "O'Neill / Smith"),
        ("KEY     =                'RAW' / right-justified", "RAW"),
        ("KEY     = 'no closing quote", "no closing quote"),
        ("KEY     = UNQUOTED / comment", "UNQUOTED"),
        ("KEY     = 30.0 s", "30.0 s"),
        ("KEY     = 1_000", "1_000"),
        ("KEY     =", None),
        ("KEY     =                      / no value", None),
        ("KEY     =42", 42),
        ("key     =                   42", 42),
    ],
)
def test_value_is_read_as_it_is_meant(line: str, value: object) -> None:
    found = cards(line).get("KEY")

    assert found == value
    assert type(found) is type(value)


def test_nothing_in_a_value_is_evaluated() -> None:
    text = "__import__('os').system('true')"

    assert cards("GAIN    = " + text).get("GAIN") == text


def test_keyword_matches_without_case_and_the_first_of_two_counts() -> None:
    header = cards("EXPTIME =                 10.0", "EXPTIME =                 20.0")

    assert header.get("exptime") == 10.0
    assert [value for name, value, _ in header.cards() if name == "EXPTIME"] == [10.0, 20.0]
    assert list(header) == ["EXPTIME"]


def test_hierarch_is_found_with_and_without_its_word() -> None:
    header = cards("HIERARCH CAHA DET CCD1 RON = 7.400E+00 / Readout-noise")

    assert header.get("CAHA DET CCD1 RON") == 7.4
    assert header.get("HIERARCH CAHA DET CCD1 RON") == 7.4
    assert header.get("caha det ccd1 ron") == 7.4
    assert header.comment("CAHA DET CCD1 RON") == "Readout-noise"
    assert header.raw("CAHA DET CCD1 RON").startswith("HIERARCH CAHA")


def test_long_keyword_without_hierarch_is_found() -> None:
    assert cards("LONGKEYWORD= 5").get("LONGKEYWORD") == 5


def test_string_is_joined_over_its_continue_cards() -> None:
    header = cards(
        "FILENAME= '/storage/kmts.20180413.0104&'",
        "CONTINUE  '49.fits&'",
        "CONTINUE  '' / MEF Filename",
        "OTHER   =                    1",
    )

    assert header.get("FILENAME") == "/storage/kmts.20180413.010449.fits"
    assert header.get("OTHER") == 1
    assert list(header.cards()) == [
        ("FILENAME", "/storage/kmts.20180413.010449.fits", "MEF Filename"),
        ("OTHER", 1, ""),
    ]


def test_continue_card_that_continues_nothing_is_shown_as_it_is() -> None:
    header = cards("OBJECT  = 'M 42'", "CONTINUE  'of another' / card")

    assert [keyword for keyword, _, _ in header.cards()] == ["OBJECT", "CONTINUE"]


def test_text_keeps_every_digit_as_written() -> None:
    header = cards("PROPID  = 89113e6", "NAME    = '007     '")

    assert header.get("PROPID") == 89113e6
    assert header.text("PROPID") == "89113e6"
    assert header.text("NAME") == "007"
    assert header.text("NONE") == ""


def test_bytes_that_are_not_ascii_become_text_and_control_bytes_are_dropped() -> None:
    utf8 = Cards("OBJECT  = 'Tét\x07a'".encode().ljust(80))
    latin = Cards(b"OBSERVER= 'G\xf6ngora'".ljust(80))

    assert utf8.get("OBJECT") == "Téta"
    assert latin.get("OBSERVER") == "Göngora"


def test_cards_that_inherit_fall_back_but_their_own_win() -> None:
    primary = cards("GAIN    =                  0.0", "OBJECT  = 'M 42    '")
    header = cards("GAIN    =                 6.42").inheriting(primary)

    assert header.get("GAIN") == 6.42
    assert header.get("OBJECT") == "M 42"
    assert "OBJECT" in header
    assert header.raw("OBJECT").startswith("OBJECT")
    assert set(header) == {"GAIN", "OBJECT"}


def test_commentary_keeps_its_order_and_is_no_value() -> None:
    header = cards("HISTORY one = 1", "COMMENT x", "HISTORY two", "        blank keyword")

    assert header.commentary("HISTORY") == ["one = 1", "two"]
    assert header.get("HISTORY") is None
    assert len(header) == 0


def test_text_of_a_file_has_one_card_a_line() -> None:
    one = HduHeader(0, cards("SIMPLE  =                    T"), ())
    two = HduHeader(1, cards("XTENSION= 'IMAGE   '"), ())

    text = FileHeaders((one, two), "").text

    assert text == "SIMPLE  =                    T\nEND\n\nXTENSION= 'IMAGE   '\nEND"


@given(st.binary(max_size=70))
def test_any_bytes_parse_to_a_value_of_a_header(field: bytes) -> None:
    assert isinstance(parse_value(field), str | bool | int | float | None)


@given(st.lists(st.binary(min_size=80, max_size=80), max_size=12))
def test_any_cards_can_be_read_through(raw: list[bytes]) -> None:
    header = Cards(b"".join(raw))

    for name in header:
        header.get(name)
    assert len(list(header.cards())) == len(raw)
    assert len(header.lines()) == len(raw)


@given(
    value=st.one_of(ASCII, st.booleans(), st.integers(-(10**15), 10**15), st.floats(-1e30, 1e30))
)
def test_what_astropy_writes_is_read_back(value: str | bool | int | float) -> None:
    written = fits.Header([("KEY", value, "a comment")])

    found = Cards(written.tostring(endcard=False, padding=False).encode("ascii")).get("KEY")

    if isinstance(value, float):
        assert isinstance(found, int | float)
        assert math.isclose(float(found), value, rel_tol=1e-12, abs_tol=1e-300)
    else:
        assert found == (value.rstrip() if isinstance(value, str) else value)
