"""One site for each module of the matrix, put back as it was after each change, and its counts."""

import os
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from flask import Flask
from sqlalchemy import Table, event, select, text

from app import config, create_app, paths
from app.db import db, transaction
from app.models import StoredSetting
from tests.conftest import empty_every_table
from tests.matrix import world as site
from tests.matrix.world import World

COUNTS: Final[Counter[str]] = Counter()
_LOOKS: Final = ("UPDATE tokens SET last_used_at",)  # what a mere look writes
_TABLE: Final = re.compile(r'\s*(?:INSERT INTO|UPDATE|DELETE FROM) "?(\w+)', re.IGNORECASE)


@pytest.fixture(autouse=True)
def told(record_property: Callable[[str, object], None]) -> Iterator[None]:
    """Have the end of the run say how much was looked at."""
    COUNTS.clear()
    yield
    record_property("counted: access matrix", dict(COUNTS))


class Keeper:
    """Knows the site as it was made, tells whether it changed, and puts it back."""

    def __init__(self, app: Flask, copy: Path) -> None:
        self.writes: list[str] = []
        self._app, self._copy = app, copy
        with app.app_context():
            event.listen(db.engine, "before_cursor_execute", self._note)
        self.remember()

    def _note(self, _connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        is_write = statement.lstrip()[:6].upper() in {"INSERT", "UPDATE", "DELETE"}
        if is_write and not statement.startswith(_LOOKS):
            self.writes.append(statement)

    def remember(self) -> None:
        """Take the site as it is now for what it has to be."""
        with self._app.app_context():
            self._rows = {table.name: _rows_of(table) for table in db.metadata.sorted_tables}
            folders = _folders()
        shutil.rmtree(self._copy, ignore_errors=True)
        for folder in folders:
            shutil.copytree(folder, self._copy / folder.name)
        self.writes.clear()

    def is_as_it_was(self) -> bool:
        """Tell whether every row is as it was made, but for when a key was last used."""
        with self._app.app_context():
            written = self._written()
            return all(_told(_rows_of(one)) == _told(self._rows[one.name]) for one in written)

    def restore(self) -> None:
        """Put every row and file back."""
        with self._app.app_context():
            written = self._written()
            with db.engine.begin() as connection:
                if db.engine.dialect.name == "sqlite":
                    connection.execute(text("PRAGMA defer_foreign_keys=ON"))
                for table in reversed(written):
                    connection.execute(table.delete())
                for table in written:
                    if rows := self._rows[table.name]:
                        connection.execute(table.insert(), rows)
            folders = _folders()
        self.writes.clear()
        for folder in folders:
            kept = self._copy / folder.name
            if _files(folder) != _files(kept):
                shutil.rmtree(folder)
                shutil.copytree(kept, folder)

    def _written(self) -> list[Table]:
        """Return the tables that may have changed; PostgreSQL wants all that hang together."""
        if db.engine.dialect.name != "sqlite":
            return db.metadata.sorted_tables
        names = {found[1] for one in self.writes if (found := _TABLE.match(one))}
        return [table for table in db.metadata.sorted_tables if table.name in names]


def _rows_of(table: Table) -> list[dict[str, Any]]:
    return [dict(row._mapping) for row in db.session.execute(select(table))]


def _told(rows: list[dict[str, Any]]) -> list[str]:
    return sorted(str({k: v for k, v in row.items() if k != "last_used_at"}) for row in rows)


def _folders() -> tuple[Path, ...]:
    """Return the folders whose files belong to rows."""
    here = paths.current()
    return here.data, here.tasks


def _files(folder: Path) -> dict[str, int]:
    return {str(p.relative_to(folder)): p.stat().st_size for p in folder.rglob("*") if p.is_file()}


def _unsynced(connection: Any, _record: object) -> None:
    """Let SQLite not wait for the disk: nothing here outlives the test."""
    connection.execute("PRAGMA synchronous=OFF").close()


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """One application for all of a module's tests; each request has a context of its own."""
    environ = {"COELOSTAT_INSTANCE": str(tmp_path_factory.mktemp("matrix") / "instance")}
    if url := os.environ.get("TEST_DATABASE_URL"):
        environ["DATABASE_URL"] = url.format(os.environ.get("PYTEST_XDIST_WORKER", "gw0"))
    application = create_app(config.load(environ))
    with application.app_context():
        if db.engine.dialect.name == "sqlite":
            event.listen(db.engine, "connect", _unsynced)
        db.create_all()
    yield application
    with application.app_context():
        if url:
            empty_every_table()
        db.engine.dispose()


@pytest.fixture(scope="module")
def world(app: Flask) -> World:
    with app.app_context():
        return site.build(app)


@pytest.fixture(scope="module")
def keeper(app: Flask, world: World, tmp_path_factory: pytest.TempPathFactory) -> Keeper:
    return Keeper(app, tmp_path_factory.mktemp("kept") / "data")


@pytest.fixture(scope="module", params=["members", "everyone"])
def shown_to(request: pytest.FixtureRequest, world: World, keeper: Keeper) -> str:
    """The site, showing frames to the people of their proposals, or to everyone signed in."""
    set_up(world, keeper, is_open=request.param == "everyone", media_open=False)
    return str(request.param)


def set_up(world: World, keeper: Keeper, *, is_open: bool, media_open: bool) -> None:
    """Have the site show frames to everyone or to members, its files to strangers or not."""
    values = {"visibility": "everyone" if is_open else "members", "media_open": media_open}
    with world.app.app_context(), transaction():
        for item, value in values.items():
            db.session.merge(StoredSetting(section="access", item=item, value=value))
    world.is_open, world.media_open = is_open, media_open
    keeper.remember()
