"""Columns of values are parsed as one value after the other is, odd ones among them."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reduction.headers import forms
from reduction.headers.forms import Field, Fields, Form

START, WIDTH = 10, 23
USUAL_MOMENTS = st.datetimes().map(lambda at: at.isoformat(timespec="milliseconds"))
ODD_MOMENTS = st.sampled_from(
    [
        *("1969-12-31T23:59:59.999", "1970-01-01T00:00:00.000", "9999-01-01T00:00:00.000"),
        *("2025-02-29T00:00:00.000", "2025-11-20T24:00:00.000", "2025-11-20T23:59:60.000"),
        *("2025-11-20 23:59:59.000", "2025-11-20T23:59:59", "", "2025-11-20T23:00:00+02:"),
        *("2025-11-20T23:59:59,123", "２025-11-20T23:59:59.1".encode().decode("latin-1")[:23]),
    ]
)
USUAL_NUMBERS = st.floats(-400, 400).map(lambda value: f"{value:.4f}")
ODD_NUMBERS = st.sampled_from(
    ["nan", "inf", "-inf", "1e999", "1_0", "", "x", "0.99", "0.98", "100.0", "-0.0", "360", "1D0"]
) | st.text(st.characters(max_codepoint=255), max_size=WIDTH)


def read(parse: Callable[[bytes], Any], texts: list[str]) -> tuple[list[Any], list[Any]]:
    """Return what a form reads of headers of one card, and what each says by itself."""
    tokens = [text.encode("latin-1").rjust(WIDTH)[:WIDTH] for text in texts]
    raws = [b"KEYWORD = ".ljust(START) + token.ljust(80 - START) for token in tokens]
    only = Field(0, START, START + WIDTH, parse)
    (found, *_) = Form.of(raws[0], Fields(only, None, None, None, None, None), ()).read(raws)
    assert found is not None
    return found, [parse(token) for token in tokens]


@given(st.lists(USUAL_MOMENTS | ODD_MOMENTS, min_size=1, max_size=9))
@example(["2025-11-20T23:59:58.123", "2025-11-20T23:59:59,123"])
@example(["2025-11-20T23:59:58.123", "1969-11-20T23:59:59.123"])
@example(["2025-11-20T23:59:58.123", "9999-11-20T23:59:59.123"])
def test_column_of_moments_is_what_each_of_them_is(texts: list[str]) -> None:
    found, alone = read(forms.moment, texts)

    assert found == alone


@pytest.mark.parametrize("parse", [forms.around, forms.upwards_in_degrees, forms.airmass])
@example(texts=["1.5", "1_5"])
@example(texts=["1.5", "nan", "inf", "-inf"])
@given(texts=st.lists(USUAL_NUMBERS | ODD_NUMBERS, min_size=1, max_size=9))
def test_column_of_numbers_is_what_each_of_them_is(
    parse: Callable[[bytes], Any], texts: list[str]
) -> None:
    found, alone = read(parse, texts)

    assert repr(found) == repr(alone)


@pytest.mark.parametrize(
    ("parse", "texts"),
    [
        (forms.moment, ["2025-11-20T23:59:59.000", "2025-11-21T00:00:00.500"]),
        (forms.around, ["0", "359.5"]),
        (forms.upwards_in_degrees, ["-90.0", "22.5"]),
        (forms.airmass, ["1.0", "2.5"]),
    ],
)
def test_column_of_usual_values_is_parsed_without_a_call_for_each(
    parse: Callable[[bytes], Any], texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(_token: bytes) -> None:
        pytest.fail("parsed alone")

    monkeypatch.setattr(forms, "_QUICK", {never: forms._QUICK[parse]})
    tokens = [text.encode().rjust(WIDTH) for text in texts]
    raws = [b"KEYWORD = " + token.ljust(70) for token in tokens]
    fields = Fields(Field(0, START, START + WIDTH, never), None, None, None, None, None)

    (found, *_) = Form.of(raws[0], fields, ()).read(raws)

    assert found == [parse(token) for token in tokens]
