"""Headers of a form met before are known again, and no others."""

from reduction.cards import Cards
from tests.reduction.headers.texts import CARD, card, header_bytes


def header(**values: object) -> bytes:
    return header_bytes([card("SIMPLE", True), *(card(k, v) for k, v in values.items())])


def met(raw: bytes) -> None:
    Cards.of_new_layout(raw[: raw.index(b"END".ljust(CARD))])


def test_header_of_a_known_form_is_told_by_what_changed() -> None:
    met(header(OBJECT="M 1", FILTER="R", NUMBER=1))

    found = [Cards.at_start_of(header(OBJECT=f"M {n}", FILTER="R", NUMBER=n)) for n in (2, 3, 1)]

    told = [None if cards is None else sorted(cards.changed()) for cards in found]
    assert told == [[1, 3], [1, 3], []]
    assert [cards and cards.get("NUMBER") for cards in found] == [2, 3, 1]


def test_card_of_another_keyword_is_another_form() -> None:
    met(header(KNOWN=1, ONE=2))
    assert Cards.at_start_of(header(KNOWN=3, ONE=2)) is not None

    assert Cards.at_start_of(header(KNOWN=1, TWO=2)) is None
    assert Cards.at_start_of(header(OTHER=3, ONE=2)) is None


def test_card_that_became_the_end_is_the_end() -> None:
    one = header(LONGER=1, EARLIER=2, LAST=3)
    met(one)
    at = one.index(b"EARLIER ")
    ended = one[:at] + b"END".ljust(CARD) + one[at + CARD :]

    assert Cards.at_start_of(one) is not None
    assert Cards.at_start_of(ended) is None


def test_buffer_that_ends_within_a_known_form_is_not_of_it() -> None:
    whole = header(CUTSHORT=1, REST=2)
    met(whole)

    assert Cards.at_start_of(whole[: 2 * CARD]) is None
