"""Fields of a request, however they were sent."""

import json
from datetime import date
from io import BytesIO
from typing import Any

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from app.api.parsing import Fields, UnreadableBodyError, parse_json_object, read_fields
from app.errors import InvalidRequestError


@pytest.fixture
def bare() -> Flask:
    return Flask("bare")


def read(bare: Flask, **sent: Any) -> Fields:
    lenient = sent.pop("lenient", False)
    with bare.test_request_context("/x?page=3&id=1", method="POST", **sent):
        return read_fields(lenient=lenient)


def test_body_wins_over_query_string_and_null_is_absent(bare: Flask) -> None:
    fields = read(bare, json={"id": 2, "page": None, "name": None})

    assert fields.integer("id") == 2
    assert "name" not in fields
    assert "page" not in fields


def test_curl_form_that_is_json_is_json(bare: Flask) -> None:
    text = '{"a": "1=2&b=3", "c": [1, 2]}'

    fields = read(bare, data=text, content_type="application/x-www-form-urlencoded")

    assert (fields["a"], fields["c"]) == ("1=2&b=3", [1, 2])


def test_json_form_read_before_us_is_json_still(bare: Flask) -> None:
    kind = "application/x-www-form-urlencoded"
    with bare.test_request_context("/", method="POST", data='{"a": 1}', content_type=kind) as c:
        assert len(c.request.form) == 1  # as a check for a CSRF field does

        assert read_fields()["a"] == 1


def test_repeated_form_fields_are_a_list(bare: Flask) -> None:
    fields = read(bare, data={"filters": ["V", "B"], "one": "x"})

    assert (fields.words("filters"), fields.words("one")) == (["V", "B"], ["x"])


def test_files_come_with_their_fields(bare: Flask) -> None:
    sent = {"target": "M 31", "file": (BytesIO(b"pixels"), "a.fits")}
    with bare.test_request_context("/", method="POST", data=sent):
        fields = read_fields()

        assert fields.text("target") == "M 31"
        assert fields.files["file"].read() == b"pixels"


def test_files_may_come_without_fields(bare: Flask) -> None:
    assert "file" in read(bare, data={"file": (BytesIO(b"{}"), "a.fits")}).files


@pytest.mark.parametrize(
    "text",
    ['{"a": 1,}', '{"a": [1, 2,\n], }', '{"a": {"b": 1 , } , }', '{"a": ",}", }', "\ufeff{}"],
)
def test_comma_before_a_closing_bracket_is_forgiven(bare: Flask, text: str) -> None:
    read(bare, data=text.encode(), content_type="application/json")


def test_comma_inside_a_text_stays() -> None:
    assert parse_json_object('{"a": "x,}\\",]",}') == {"a": 'x,}",]'}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{'type': 'get'}", "single quote at line 1 column 2"),
        ('{"type":\n "get",\n \'id\': 1}', "single quote at line 3 column 2"),
        ('{"a": ', "line 1 column"),
        ('{"a": NaN}', "NaN is not a JSON number"),
        ('{"a": -Infinity}', "-Infinity is not"),
        ("[1, 2]", "must be a JSON object"),
        ('{"a": ' + "9" * 5000 + "}", "cannot be taken in"),
        ('{"a": ' + "[" * 100_000 + "}", "cannot be taken in"),
    ],
)
def test_refusal_of_broken_json_says_where(bare: Flask, text: str, says: str) -> None:
    with pytest.raises(UnreadableBodyError, match=says.replace("(", r"\(")):
        read(bare, data=text, content_type="application/json")


def test_lenient_call_takes_an_unreadable_body_for_none(bare: Flask) -> None:
    assert dict(read(bare, data='{"a": ', lenient=True)) == {"page": "3", "id": "1"}
    with pytest.raises(UnreadableBodyError):
        read(bare, data="{'a': 1}", lenient=True)


@pytest.mark.parametrize("value", [5, "5", " 5 ", "5.0", 5.0, "+5"])
def test_whole_number_comes_in_many_spellings(value: object) -> None:
    assert Fields({"id": value}).integer("id") == 5


@pytest.mark.parametrize("value", ["5.5", "five", "1e400", "nan", str(2**63), [5], {"a": 5}, "0x5"])
def test_what_is_no_whole_number_is_refused(value: object) -> None:
    with pytest.raises(InvalidRequestError) as refusal:
        Fields({"id": value}).integer("id")

    assert "id" in refusal.value.fields


def test_flags_and_numbers_and_days() -> None:
    fields = Fields({"a": "True", "b": 0, "c": "2026-11-20T23:10", "d": "1.5e3", "e": "2026/1/2"})

    assert (fields.flag("a"), fields.flag("b"), fields.flag("missing")) == (True, False, None)
    assert fields.day("c") == date(2026, 11, 20)
    assert fields.number("d") == 1500.0
    for read_badly in (fields.day, fields.flag, fields.number):
        with pytest.raises(InvalidRequestError):
            read_badly("e")


def test_words_lose_blanks_and_empty_parts() -> None:
    assert Fields({"c": " a, b,,c "}).words("c") == ["a", "b", "c"]
    assert Fields({"c": ["a", 5]}).words("c") == ["a", "5"]
    assert Fields({}).words("c") == []


@given(st.binary(max_size=200))
def test_no_body_is_more_than_unreadable(body: bytes) -> None:
    kinds = ("application/json", "application/x-www-form-urlencoded", "multipart/form-data", "")
    for kind in kinds:
        with Flask("x").test_request_context("/", method="POST", data=body, content_type=kind):
            try:
                fields = read_fields()
            except UnreadableBodyError as error:
                assert str(error)
                continue
            for name in fields:
                try:
                    fields.text(name)
                    fields.words(name)
                except InvalidRequestError as refusal:
                    assert str(refusal)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(st.dictionaries(st.text(), json_values, max_size=4))
def test_good_json_means_what_it_says(value: dict[str, Any]) -> None:
    assert parse_json_object(json.dumps(value)) == value
    assert parse_json_object(json.dumps(value, indent=1, ensure_ascii=False)) == value
