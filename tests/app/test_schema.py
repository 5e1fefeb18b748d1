"""Migrations: they make what the models say, and lose nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask import Flask
from flask_migrate import upgrade as run_upgrade
from sqlalchemy import text

from app import config, create_app, paths, schema
from app.db import Base, db, transaction
from app.models import User


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
