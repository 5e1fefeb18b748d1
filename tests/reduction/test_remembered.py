"""What is remembered of headers: used where it holds, and nowhere else."""

import pytest

from reduction.cards import Cards
from reduction.remembered import remembered


class Reader:
    """Reads the filter and, of a light, the object; counts how often it has to."""

    def __init__(self) -> None:
        self.n_read = 0

    def __call__(self, cards: Cards) -> str:
        self.n_read += 1
        kind = cards.text("IMAGETYP")
        return f"{kind} {cards.text('OBJECT')}" if kind == "LIGHT" else kind


def header(kind: str = "LIGHT", name: str = "M 31", temperature: int = -100) -> Cards:
    return Cards.from_text(
        [
            "SIMPLE  =                    T",
            f"IMAGETYP= '{kind}'",
            f"OBJECT  = '{name}'",
            f"CCD-TEMP= {temperature}",
        ]
    )


@pytest.fixture
def purpose(request: pytest.FixtureRequest) -> str:
    return str(request.node.name)


def test_cards_nobody_looked_at_may_differ(purpose: str) -> None:
    read = Reader()

    results = [remembered(header(temperature=t), purpose, read) for t in (-100, -90, -80)]

    assert (results, read.n_read) == (["LIGHT M 31"] * 3, 1)


def test_cards_that_were_looked_at_may_not(purpose: str) -> None:
    read = Reader()

    results = [remembered(header(name=n), purpose, read) for n in ("M 31", "M 33", "M 31")]

    assert (results, read.n_read) == (["LIGHT M 31", "LIGHT M 33", "LIGHT M 31"], 2)


def test_ways_through_a_reader_are_kept_apart_by_all_cards_any_of_them_looked_at(
    purpose: str,
) -> None:
    read = Reader()
    frames = [("BIAS", "M 31"), ("BIAS", "any"), ("LIGHT", "M 31"), ("LIGHT", "any")]

    results = [remembered(header(*frame), purpose, read) for frame in (*frames, *frames)]

    assert results == ["BIAS", "BIAS", "LIGHT M 31", "LIGHT any"] * 2
    assert read.n_read == 5


def test_purposes_are_kept_apart(purpose: str) -> None:
    assert remembered(header(), (purpose, 1), lambda _: "one") == "one"
    assert remembered(header(), (purpose, 2), lambda _: "two") == "two"
    assert remembered(header(), (purpose, 1), lambda _: "three") == "one"


def test_nothing_can_be_remembered_too(purpose: str) -> None:
    seen: list[Cards] = []

    for _ in range(2):
        assert remembered(header(), purpose, seen.append) is None

    assert len(seen) == 1


def test_header_with_another_behind_it_is_always_read(purpose: str) -> None:
    read = Reader()

    for name in ("M 31", "M 33"):
        found = remembered(
            Cards.from_text(["GAIN    = 1"]).inheriting(header(name=name)), purpose, read
        )
        assert found == f"LIGHT {name}"


def test_reader_within_a_reader_hides_nothing_from_the_outer_one(purpose: str) -> None:
    read = Reader()

    def outer(cards: Cards) -> str:
        return remembered(cards, (purpose, "inner"), read)

    results = [remembered(header(name=n), (purpose, "outer"), outer) for n in ("M 31", "M 33")]

    assert results == ["LIGHT M 31", "LIGHT M 33"]


def test_what_every_frame_has_its_own_of_is_soon_only_read(purpose: str) -> None:
    watched: list[bool] = []

    def read(cards: Cards) -> str:
        watched.append(type(cards) is not Cards)
        return cards.text("OBJECT")

    for i in range(100):
        assert remembered(header(name=f"M {i}"), purpose, read) == f"M {i}"

    assert watched[0]
    assert not watched[-1]


def test_error_is_not_remembered(purpose: str) -> None:
    def refuse(_: Cards) -> str:
        raise ValueError("bad")

    with pytest.raises(ValueError, match="bad"):
        remembered(header(), purpose, refuse)

    assert remembered(header(), purpose, lambda _: "good") == "good"


def test_commentary_that_was_looked_at_counts(purpose: str) -> None:
    def history(cards: Cards) -> list[str]:
        return cards.commentary("HISTORY")

    results = [
        remembered(Cards.from_text(["SIMPLE  = T", f"HISTORY {text}"]), purpose, history)
        for text in ("bias", "flat")
    ]

    assert results == [["bias"], ["flat"]]
