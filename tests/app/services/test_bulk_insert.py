"""Rows inserted in bulk are the rows the session would have stored."""

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Text, cast, select
from sqlalchemy.exc import IntegrityError, StatementError

from app.db import db, transaction
from app.models import Frame
from app.services.bulk_insert import Rows, bulk_insert

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
        own = tuple(rows[0] if rows else VALUES)
        pairs = [({"binning_x": 2}, [row[name] for name in own]) for row in rows]
        bulk_insert(Frame.__table__, connection.dialect, own).execute(
            connection, Rows.of(pairs, len(own))
        )


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


def test_rows_of_which_only_some_have_a_default_keep_what_each_has(app: Flask) -> None:
    rows = [{**VALUES, "path": f"RAW/{i}.fits"} for i in range(3)]
    shared: list[dict[str, Any]] = [{}, {"ncombine": 5, "comment": "it's 'fine'"}, {"unit": "?"}]

    with transaction():
        connection = db.session.connection()
        own = tuple(VALUES)
        pairs = [(s, [row[name] for name in own]) for s, row in zip(shared, rows, strict=True)]
        bulk_insert(Frame.__table__, connection.dialect, own).execute(
            connection, Rows.of(pairs, len(own))
        )

    assert [(f.ncombine, f.comment, f.unit, f.is_thin, f.counts) for f in frames()] == [
        (1, "", "adu", False, {}),
        (5, "it's 'fine'", "adu", False, {}),
        (1, "", "?", False, {}),
    ]


def test_default_a_row_says_nothing_of_is_not_put_back(app: Flask) -> None:
    with transaction():
        connection = db.session.connection()
        own = ("path", "file_name", "kind", "nx", "ny")
        row = ["RAW/a.fits", "a.fits", "bias", 4, 3]
        inserter = bulk_insert(Frame.__table__, connection.dialect, own)
        with pytest.raises(StatementError):
            inserter.execute(connection, Rows.of([({"unit": None}, row)], len(own)))


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC),
        datetime(2025, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(1, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone(timedelta(hours=2))),
    ],
)
def test_time_of_a_bulk_row_is_the_one_a_session_stores(app: Flask, moment: datetime) -> None:
    insert({**VALUES, "start_utc": moment})
    with transaction():
        db.session.add(Frame(**VALUES | {"path": "RAW/b.fits", "start_utc": moment}))

    with db.engine.connect() as connection:
        query = select(cast(Frame.__table__.c.start_utc, Text)).order_by(Frame.__table__.c.id)
        bulk, usual = connection.execute(query).scalars()

    assert bulk == usual


def test_many_rows_keep_their_order_and_their_values(app: Flask) -> None:
    insert(*({**VALUES, "path": f"RAW/{i}.fits", "nx": i + 1} for i in range(300)))

    assert [frame.nx for frame in frames()] == list(range(1, 301))


@pytest.mark.parametrize("n_rows", [1, 9, 10, 11, 20, 25])
def test_any_number_of_rows_is_stored_once_each(app: Flask, n_rows: int) -> None:
    insert(*({**VALUES, "path": f"RAW/{i}.fits"} for i in range(n_rows)))

    assert [frame.path for frame in frames()] == [f"RAW/{i}.fits" for i in range(n_rows)]


@pytest.mark.parametrize("at", [1, 7, 12, 24])
def test_row_the_database_refuses_leaves_nothing_of_the_others(app: Flask, at: int) -> None:
    rows = [{**VALUES, "path": f"RAW/{i}.fits"} for i in range(25)]
    rows[at]["path"] = "RAW/0.fits"

    with pytest.raises(IntegrityError):
        insert(*rows)

    assert frames() == []


def test_frame_of_a_file_that_is_not_there_is_refused_at_the_commit(app: Flask) -> None:
    with pytest.raises(IntegrityError), transaction():
        connection = db.session.connection()
        own = (*VALUES, "file_id")
        inserter = bulk_insert(Frame.__table__, connection.dialect, own)
        inserter.execute(connection, Rows.of([({}, [*VALUES.values(), 12345])], len(own)))
        stored = len(connection.execute(select(Frame.id)).all())

    assert stored == 1
    assert frames() == []


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


@pytest.mark.parametrize("n_rows", [1, 10, 25])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("comment", "it's 'fine'; -- ?"),
        ("comment", "\u00e4\u2013\u03b1"),
        ("comment", "two\nlines"),
        ("comment", "x" * 1000),
        ("comment", ""),
        ("size", 2**63 - 1),
        ("size", -1),
        ("exptime_s", None),
        ("ra_deg", 0.1 + 0.2),
        ("ra_deg", 5e-324),
        ("is_valid", True),
        ("notes", ["'", '"']),
    ],
)
def test_value_all_rows_have_is_stored_as_it_is(
    app: Flask, name: str, value: Any, n_rows: int
) -> None:
    insert(*({**VALUES, name: value, "path": f"RAW/{i}.fits"} for i in range(n_rows)))

    assert [getattr(frame, name) for frame in frames()] == [value] * n_rows


def test_number_the_database_cannot_hold_is_refused_of_many_rows_too(app: Flask) -> None:
    with pytest.raises((StatementError, OverflowError)):
        insert(*({**VALUES, "size": 2**63, "path": f"RAW/{i}.fits"} for i in range(12)))

    assert frames() == []


def test_no_rows_are_no_trouble(app: Flask) -> None:
    insert()

    assert frames() == []


def test_value_that_only_looks_the_same_in_all_rows_is_stored_of_each(app: Flask) -> None:
    marks = ["" if i % 5 else "odd" for i in range(1, 21)]
    rows = ({**VALUES, "comment": m, "path": f"RAW/{i}.fits"} for i, m in enumerate(marks))
    insert(*rows)

    assert [frame.comment for frame in frames()] == marks
