import pytest

from app.errors import InvalidRequestError
from app.services.texts import checked, storable


@pytest.mark.parametrize("text", ["", "Ada", "  Ada Lovelace ", "Zoë ☉ 𝕊", "a" * 20])
def test_text_is_taken_without_blanks_around_it(text: str) -> None:
    assert checked("name", text, 20) == text.strip()


@pytest.mark.parametrize("text", ["a\0b", "\ud800", "a\nb", "a\tb", "\x7f", "a\u2028b", "\x85b"])
def test_what_is_no_text_of_one_line_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequestError) as refusal:
        checked("name", f"x{text}x", 20)

    assert refusal.value.fields == {"name": "This contains characters that are not text."}


@pytest.mark.parametrize("text", ["a\0b", "a\ud800b"])
def test_lines_may_be_allowed_but_never_what_no_database_takes(text: str) -> None:
    assert checked("text", "one\ntwo", 20, lines=True) == "one\ntwo"
    with pytest.raises(InvalidRequestError):
        checked("text", text, 20, lines=True)


def test_text_that_is_too_long_is_refused_with_how_long_it_is() -> None:
    with pytest.raises(InvalidRequestError, match="21 characters, and 20 are the most"):
        checked("name", "a" * 21, 20)


def test_text_to_look_for_becomes_storable() -> None:
    assert storable("a\0\ud800é") == "a??é"
