"""The database session, the one way to write through it, and times in UTC.

What differs between SQLite and PostgreSQL stands here and in `services.queries`, nowhere else.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import (
    JSON,
    BigInteger,
    Connection,
    DateTime,
    Dialect,
    Engine,
    MetaData,
    event,
    func,
    select,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import DeclarativeBase, registry
from sqlalchemy.types import TypeDecorator

BUSY_TIMEOUT_MS = 15_000
# What a connection keeps of SQLite's pages, in kB: as SQLite has it, and while much is changed.
_FEW_PAGES, _MANY_PAGES = 2000, 16_000

_writing: ContextVar[bool] = ContextVar("writing", default=False)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime, kept in UTC; SQLite itself would drop the zone."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Refuse naive times and store the rest as UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("naive datetime")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Return the stored time as an aware one."""
        return value and value.replace(tzinfo=UTC)


class Base(DeclarativeBase):
    """Declarative base of every model; its datetimes are aware, its constraints named."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    registry = registry(
        type_annotation_map={datetime: UtcDateTime, dict[str, Any]: JSON, list[str]: JSON}
    )


BigInt = BigInteger()

db = SQLAlchemy(model_class=Base)

_AFTER_COMMIT = "after_commit"


def utcnow() -> datetime:
    """Return the present moment, aware."""
    return datetime.now(UTC)


@contextmanager
def transaction() -> Iterator[None]:
    """Commit on success, roll back on error; a nested call joins the outer one.

    A reading transaction that is still open is ended first: one that read and then writes
    would be refused by SQLite (BUSY_SNAPSHOT) or overwrite what it did not see.
    """
    info = db.session().info
    if _AFTER_COMMIT in info:
        yield
        return
    if db.session.new or db.session.dirty or db.session.deleted:
        raise RuntimeError("rows were changed outside transaction()")
    db.session.commit()
    callbacks: list[Callable[[], object]] = []
    info[_AFTER_COMMIT] = callbacks
    token = _writing.set(True)
    try:
        yield
        db.session.commit()
    except BaseException:
        db.session.rollback()
        raise
    finally:
        _writing.reset(token)
        del info[_AFTER_COMMIT]
    for callback in callbacks:
        callback()


@contextmanager
def changing_much() -> Iterator[None]:
    """Give the open transaction more of SQLite's memory while it changes pages in many places.

    Pages that do not stay in memory are written to the log each time they leave it: to store a
    batch whose times and names lie between those of 28,000 frames took 2.7 times as long.
    """
    connection = db.session.connection()
    is_sqlite = connection.dialect.name == "sqlite"
    if is_sqlite:
        connection.exec_driver_sql(f"PRAGMA cache_size={-_MANY_PAGES}")
    try:
        yield
        db.session.flush()
    finally:
        if is_sqlite:
            with suppress(DBAPIError):  # of a connection that broke: why is told already
                connection.exec_driver_sql(f"PRAGMA cache_size={-_FEW_PAGES}")


def after_commit(callback: Callable[[], object]) -> None:
    """Call `callback` once the open transaction is on disk, never if it rolls back."""
    db.session().info[_AFTER_COMMIT].append(callback)


def take_turns(key: int) -> None:
    """Let one transaction of this key after the other go on; what it reads then is the newest.

    SQLite has one writer at a time anyway.
    """
    if db.engine.dialect.name == "postgresql":
        db.session.execute(select(func.pg_advisory_xact_lock(key)))


def prepare_engine(engine: Engine) -> None:
    """Set up SQLite for several processes that write; PostgreSQL needs nothing."""
    if engine.dialect.name != "sqlite":
        return
    event.listen(engine, "connect", _on_connect)
    event.listen(engine, "begin", _on_begin)


def _on_connect(connection: Any, _record: object) -> None:  # noqa: ANN401 - the driver's connection
    connection.isolation_level = None  # BEGIN is ours, see _on_begin
    for pragma in (
        f"busy_timeout={BUSY_TIMEOUT_MS}",
        "page_size=8192",  # of a new file; a frame is some 700 bytes, and its scan 2 us quicker
        "journal_mode=WAL",
        "synchronous=FULL",  # a power cut must not lose what was acknowledged
        "foreign_keys=ON",
        "journal_size_limit=67108864",
        "wal_autocheckpoint=2000",  # pages: they are copied back once for several nights
    ):
        connection.execute(f"PRAGMA {pragma}").close()


def _on_begin(connection: Connection) -> None:
    # A deferred BEGIN that later writes fails at once under load, whatever the busy timeout.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if _writing.get() else "BEGIN")
