"""Rows inserted in bulk are the rows the session would have stored."""

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.exc import StatementError

from app.db import db, transaction
from app.models import Frame
from app.services.bulk_insert import bulk_insert

VALUES: dict[str, Any] = {
    "path": "RAW/a.fits",
    "file_name": "a.fits",
    "kind": "science",
    "nx": 4,
    "ny": 3,
    "exptime_s": 30,
    "ra_deg": 12.5,
    "start_utc": datetime(2025, 11, 20, 23, tzinfo=timezone(timedelta(hours=2))),
    "night": date(2025, 11, 20),
    "is_valid": False,
    "notes": ["one", "zwei \u00e4"],
    "origins": {"kind": {"card": "IMAGETYP= 'light'", "rule": "its word"}},
}


def insert(*rows: dict[str, Any]) -> None:
    with transaction():
        connection = db.session.connection()
        own = tuple(VALUES)
        pairs = [({"binning_x": 2}, [row[name] for name in own]) for row in rows]
        bulk_insert(Frame.__table__, connection.dialect, own).execute(connection, pairs)


def frames() -> list[Frame]:
    db.session.rollback()
    return list(db.session.scalars(select(Frame).order_by(Frame.id)))


def test_bulk_row_is_the_row_of_a_session(app: Flask) -> None:
    insert(VALUES)
    with transaction():
        db.session.add(Frame(**VALUES | {"path": "RAW/b.fits", "binning_x": 2}))

    bulk, usual = frames()
    differing = {
        column.key
        for column in Frame.__table__.columns
        if getattr(bulk, column.key) != getattr(usual, column.key)
    }

    assert differing <= {"id", "path", "created_at", "modified_at"}
    assert bulk.start_utc == datetime(2025, 11, 20, 21, tzinfo=UTC)
    assert abs(bulk.created_at - usual.created_at) < timedelta(minutes=1)
    assert bulk.steps_done == []


def test_many_rows_keep_their_order_and_their_values(app: Flask) -> None:
    insert(*({**VALUES, "path": f"RAW/{i}.fits", "nx": i + 1} for i in range(300)))

    assert [frame.nx for frame in frames()] == list(range(1, 301))


@pytest.mark.parametrize(
    "bad",
    [{"start_utc": datetime(2025, 11, 20)}, {"origins": {"a": object()}}],  # noqa: DTZ001
)
def test_value_that_is_not_of_its_column_is_refused_and_stores_nothing(
    app: Flask, bad: dict[str, Any]
) -> None:
    with pytest.raises(StatementError):
        insert(VALUES, {**VALUES, "path": "RAW/b.fits", **bad})

    assert frames() == []
