"""HDUs told apart by their names, and their cards without what is written anew."""

from astropy.io import fits

from reduction.cards import Cards
from reduction.headers.extensions import bits_of, forget_size, name_of, whole_cards

LONG = "a text that is longer than one card has room for, " * 3


def cards_of(header: fits.Header) -> Cards:
    return Cards.from_text(header.tostring(sep="\n", endcard=False, padding=False).splitlines())


def test_all_cards_are_kept_but_those_that_are_written_anew() -> None:
    header = fits.Header({"BITPIX": -32, "EXTNAME": " SCI ", "GAIN": 1.5, "NOTE": LONG.strip()})
    header["CHECKSUM"], header["DATASUM"] = "abc", "12"
    header["HISTORY"] = "made"
    cards = cards_of(header)

    found = whole_cards(cards)

    assert [keyword for keyword, _, _ in found] == ["BITPIX", "EXTNAME", "GAIN", "NOTE", "HISTORY"]
    assert {k: v for k, v, _ in found}["NOTE"] == LONG.strip()
    assert (name_of(cards), bits_of(cards)) == ("SCI", -32)


def test_size_of_a_place_alone_is_forgotten() -> None:
    header = fits.Header({"NAXIS": 0, "CRVAL1": 10.0})

    forget_size(header)
    forget_size(header)

    assert list(header) == ["CRVAL1"]
