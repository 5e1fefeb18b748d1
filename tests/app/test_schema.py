"""Migrations: they make what the models say, and lose nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask import Flask
from flask_migrate import downgrade as run_downgrade
from flask_migrate import upgrade as run_upgrade
from sqlalchemy import inspect, select, text

from app import config, create_app, paths, schema
from app.db import Base, db, transaction
from app.models import Frame, User


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


def make(name: str, sha256: str) -> Frame:
    return Frame(path=name, file_name=name, kind="bias", nx=1, ny=1, content_sha256=sha256)


def indexes() -> set[str | None]:
    found = inspect(db.engine)
    tables = ("frames", "scanned_files")
    return {index["name"] for table in tables for index in found.get_indexes(table)}
