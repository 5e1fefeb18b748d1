"""Rows told as a text are the rows themselves."""

import os
from datetime import UTC, date, datetime
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, Float, Integer, MetaData, String, Table, literal, select

from app.db import db, transaction
from app.models import Frame
from app.services import listing
from app.services.row_text import RowText
from tests.factories import make_frame

pytestmark = pytest.mark.skipif(
    bool(os.environ.get("TEST_DATABASE_URL")), reason="a page in one step is SQLite's"
)


def same(rows: list[Any], others: list[Any]) -> bool:
    def typed(found: list[Any]) -> list[list[tuple[type, Any]]]:
        return [[(type(value), value) for value in row] for row in found]

    return typed(rows) == typed(others)


def test_rows_are_those_the_driver_gives_value_by_value(app: Flask) -> None:
    make_frame(
        object_name='M 31 "north", \\ ä\u2028',
        ra_deg=10.684333333333333,
        start_utc=datetime(2025, 11, 20, 23, 1, 2, 34, tzinfo=UTC),
        night=date(2025, 11, 20),
        missing=["bias"],
        is_valid=False,
    )
    make_frame(start_utc=None, night=None, exptime_s=None, airmass=0.1 + 0.2)
    query = select(*listing._SHOWN).order_by(Frame.id)
    text = RowText(listing._SHOWN)

    rows = text.rows(db.session.scalar(text.query(query)))

    assert same(rows, [*db.session.execute(query).all()])


def test_no_rows_are_none(app: Flask) -> None:
    text = RowText(listing._SHOWN)

    assert text.rows(db.session.scalar(text.query(select(*listing._SHOWN)))) == []


def test_one_column_makes_rows_of_one(app: Flask) -> None:
    for name in ("b", "a"):
        make_frame(object_name=name)
    text = RowText([Frame.__table__.c.object_name])

    query = select(Frame.object_name).order_by(Frame.object_name)
    rows = text.rows(db.session.scalar(text.query(query)))

    assert rows == [("a",), ("b",)]


def test_times_with_a_zone_are_refused() -> None:
    with pytest.raises(TypeError):
        RowText([Frame.__table__.c.start_utc])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(values=st.lists(st.floats(allow_nan=False, allow_infinity=False) | st.none(), min_size=1))
def test_every_double_is_read_back_to_the_last_bit(app: Flask, values: list[float | None]) -> None:
    table = Table("x", MetaData(), Column("i", Integer), Column("a", Float), Column("s", String))
    rows = [select(literal(i), literal(v, Float), literal("s")) for i, v in enumerate(values)]
    whole = rows[0].union_all(*rows[1:]).subquery()
    text = RowText(list(table.columns))

    with transaction():
        found = text.rows(db.session.scalar(text.query(select(*whole.c))))

    # A zero has no sign in a database's text.
    unsigned = [None if v is None else v + 0.0 for v in values]
    assert [repr(row[1]) for row in found] == [repr(v) for v in unsigned]
