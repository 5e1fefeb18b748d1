"""Migrations: they make what the models say, and lose nothing."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask import Flask
from flask_migrate import downgrade as run_downgrade
from flask_migrate import upgrade as run_upgrade
from sqlalchemy import inspect, select, text
from sqlalchemy.exc import IntegrityError

from app import config, create_app, paths, schema
from app.db import Base, db, transaction
from app.models import Frame, User
from tests.factories import make_camera


@pytest.fixture
def empty_app(tmp_path: Path) -> Iterator[Flask]:
    application = create_app(config.load({"COELOSTAT_INSTANCE": str(tmp_path / "instance")}))
    with application.app_context():
        yield application
        db.session.remove()
        db.engine.dispose()


def test_migrations_make_exactly_what_the_models_say(empty_app: Flask) -> None:
    assert schema.upgrade()

    with db.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"render_as_batch": True})
        assert compare_metadata(context, Base.metadata) == []


def test_second_start_has_nothing_to_migrate(empty_app: Flask) -> None:
    schema.upgrade()

    assert schema.upgrade() is False


def test_database_of_a_newer_version_is_left_alone(empty_app: Flask) -> None:
    schema.upgrade()
    with db.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num='from_the_future'"))

    with pytest.raises(schema.SchemaError, match="newer version"):
        schema.upgrade()


def test_database_made_before_frames_were_listed_by_time_gets_those_indexes(
    empty_app: Flask,
) -> None:
    schema.init_app(empty_app)
    run_upgrade(directory=schema.DIRECTORY, revision="0003")
    with db.engine.begin() as connection:
        connection.execute(text("DROP INDEX ix_frames_kind_start_utc"))
        connection.execute(text("DROP INDEX ix_frames_level_night"))

    schema.upgrade()

    with db.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"render_as_batch": True})
        assert compare_metadata(context, Base.metadata) == []


def test_database_is_copied_before_it_is_migrated(
    empty_app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema.upgrade()
    with transaction():
        db.session.add(User(username="kept"))
    real = schema.revisions()
    monkeypatch.setattr(schema, "revisions", lambda: ("a later one", real[1]))

    schema.upgrade()

    copies = list((paths.current().instance / "backups").iterdir())
    assert [copy.name for copy in copies] == [f"before-{real[1]}.sqlite"]
    assert b"kept" in copies[0].read_bytes()


def test_copy_takes_the_place_of_one_an_older_version_left(
    empty_app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema.upgrade()
    real = schema.revisions()
    old = paths.current().instance / "backups" / f"before-{real[1]}.sqlite"
    old.parent.mkdir()
    with closing(sqlite3.connect(old)) as other:
        for said in ("PRAGMA page_size=4096", "PRAGMA journal_mode=WAL", "CREATE TABLE t (a)"):
            other.execute(said)
    with transaction():
        db.session.add(User(username="kept"))
    monkeypatch.setattr(schema, "revisions", lambda: ("a later one", real[1]))

    schema.upgrade()

    assert b"kept" in old.read_bytes()
    assert [copy.name for copy in old.parent.iterdir()] == [old.name]


def test_foreign_keys_hold_again_after_a_migration(empty_app: Flask) -> None:
    schema.upgrade()

    with db.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


def test_frames_keep_their_hashes_while_indexes_come_and_go(empty_app: Flask) -> None:
    schema.upgrade()
    with transaction():
        db.session.add_all([make(name, sha256) for name, sha256 in (("a", ""), ("b", "0" * 64))])
    names = {"ix_frames_content_sha256", "ix_scanned_files_changed_at"}

    run_downgrade(directory=schema.DIRECTORY, revision="0004")
    before = names & indexes()
    run_upgrade(directory=schema.DIRECTORY)

    assert before == names
    assert names & indexes() == {"ix_frames_content_sha256"}
    assert db.session.scalars(select(Frame.content_sha256).order_by(Frame.id)).all() == [
        "",
        "0" * 64,
    ]


def test_frames_stay_while_their_references_are_asked_for_later(empty_app: Flask) -> None:
    schema.upgrade()
    camera = make_camera()
    with transaction():
        db.session.add_all([make(name, "", camera_id=camera.id) for name in ("a", "b", "gone")])
    with transaction():
        db.session.delete(db.session.scalars(select(Frame).where(Frame.path == "gone")).one())
    at_commit = {"deferrable": True, "initially": "DEFERRED"}

    run_downgrade(directory=schema.DIRECTORY, revision="0005")
    before = references()
    db.session.remove()
    db.engine.dispose()
    schema.upgrade()

    assert before == dict.fromkeys(REFERENCES, {})
    assert references() == dict.fromkeys(REFERENCES, at_commit)
    with transaction():
        db.session.add(make("c", ""))
    found = db.session.execute(select(Frame.path, Frame.id).order_by(Frame.id)).all()
    assert [tuple(row) for row in found] == [("a", 1), ("b", 2), ("c", 4)]  # no id comes again
    with db.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"render_as_batch": True})
        assert compare_metadata(context, Base.metadata) == []
        if connection.dialect.name == "sqlite":
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
    with pytest.raises(IntegrityError), transaction():
        db.session.add(make("d", "", camera_id=99))


def test_schema_that_somebody_changed_by_hand_is_left_as_it_is(empty_app: Flask) -> None:
    schema.upgrade()
    if db.engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL keeps no text of its tables")
    run_downgrade(directory=schema.DIRECTORY, revision="0005")
    with db.engine.begin() as connection:
        for change in (
            "PRAGMA writable_schema=ON",
            "UPDATE sqlite_master SET sql = replace(sql, 'fk_frames_camera_id', 'by_hand')",
            "PRAGMA writable_schema=RESET",
        ):
            connection.exec_driver_sql(change)

    with pytest.raises(schema.SchemaError, match="fk_frames_camera_id is not in the schema"):
        schema.upgrade()

    assert schema.revisions()[1] == "0005"
    assert "ix_frames_band" in indexes()


REFERENCES = (
    "fk_frames_camera_id",
    "fk_frames_file_id",
    "fk_frames_proposal_id",
    "fk_scanned_files_duplicate_of_id",
)


def references() -> dict[str | None, object]:
    """Return what is said of when references are asked for, by their names."""
    found = inspect(db.engine)
    keys = [key for table in ("frames", "scanned_files") for key in found.get_foreign_keys(table)]
    return {key["name"]: key["options"] for key in keys}


def make(name: str, sha256: str, camera_id: int | None = None) -> Frame:
    own = {"path": name, "file_name": name, "content_sha256": sha256, "camera_id": camera_id}
    return Frame(kind="bias", nx=1, ny=1, **own)


def indexes() -> set[str | None]:
    found = inspect(db.engine)
    tables = ("frames", "scanned_files")
    return {index["name"] for table in tables for index in found.get_indexes(table)}
