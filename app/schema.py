"""Bringing the database to the present schema, without losing a row on the way."""

import logging
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final, cast

from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask, current_app
from flask_migrate import Migrate
from flask_migrate import upgrade as run_upgrade

from app import models, paths  # noqa: F401 - Alembic must know every table
from app.db import db

log = logging.getLogger(__name__)

DIRECTORY: Final = str(Path(__file__).resolve().parent / "migrations")


class SchemaError(Exception):
    """The database cannot be brought to this version's schema; it was left as it was."""


def init_app(app: Flask) -> None:
    """Make ``flask db ...`` speak of our migrations; once is enough."""
    if "migrate" not in app.extensions:
        Migrate(app, db, directory=DIRECTORY, render_as_batch=True)


def upgrade() -> bool:
    """Migrate the database to the newest schema; tell whether anything had to be done.

    An SQLite file is copied beside itself first. Foreign keys are off while tables are rebuilt:
    dropping a parent table with them on would delete its children.

    Raises
    ------
    SchemaError
        If the database is of a newer version of the program, or rows contradict the schema.
    """
    init_app(current_app)
    newest, present = revisions()
    if present == newest:
        return False
    if present is not None:
        _check_known(present)
        _copy_aside(present)
    if db.engine.dialect.name == "sqlite":
        _upgrade_sqlite()
    else:
        run_upgrade(directory=DIRECTORY)
    log.info("database migrated from %s to %s", present or "nothing", newest)
    return True


def _scripts() -> ScriptDirectory:
    return ScriptDirectory(DIRECTORY)


def revisions() -> tuple[str | None, str | None]:
    """Return the newest revision there is, and the one the database is at."""
    with db.engine.connect() as connection:
        present = MigrationContext.configure(connection).get_current_revision()
    return _scripts().get_current_head(), present


def _check_known(present: str) -> None:
    if present not in {script.revision for script in _scripts().walk_revisions()}:
        raise SchemaError(
            f"the database is at schema {present}, which this version does not know: "
            "it was written by a newer version of the program; install that version again"
        )


def _upgrade_sqlite() -> None:
    app = current_app
    with db.engine.connect() as connection:
        driver = cast(sqlite3.Connection, connection.connection.driver_connection)
        driver.execute("PRAGMA foreign_keys=OFF")
        app.config["MIGRATION_CONNECTION"] = connection
        try:
            run_upgrade(directory=DIRECTORY)
            broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
            if broken:
                connection.rollback()
                raise SchemaError(f"rows of {broken[0][0]} refer to rows that are not there")
            connection.commit()
        finally:
            del app.config["MIGRATION_CONNECTION"]
            driver.execute("PRAGMA foreign_keys=ON")


def _copy_aside(present: str) -> None:
    if db.engine.dialect.name != "sqlite":
        return
    source = db.engine.url.database or ""
    target = paths.current().instance / "backups" / f"before-{present}.sqlite"
    target.parent.mkdir(exist_ok=True)
    part = target.with_suffix(".part")  # SQLite does not write over a file of another page size
    part.unlink(missing_ok=True)
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(part)) as copy:
        old.backup(copy)
    part.replace(target)
    log.info("database copied to %s before migrating", target)
