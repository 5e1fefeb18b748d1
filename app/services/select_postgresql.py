"""SELECT on PostgreSQL: a role that owns nothing reads views made for this one query.

The views lie in a schema of their own with a name drawn for the query; they alone are granted to
the reading role, and the schema goes when the query ends. One query runs at a time, so that no
caller's views are there while another's query runs.
"""

import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

from sqlalchemy import Connection, Select, make_url, text
from sqlalchemy.exc import SQLAlchemyError

from app import config
from app.db import db
from app.errors import ConflictError, InvalidRequestError
from app.services import select_process

_PROGRAM: Final = Path(__file__).with_name("select_postgresql_child.py")
_OPTIONS: Final = ("-I",)  # isolated; it needs the driver, so site-packages stay
_PREFIX: Final = "coelostat_select_"
_LOCK: Final = 0x5E1EC7  # of ours among the advisory locks of the database
_NOT_SET_UP: Final = (
    "SELECT is not set up here: this site's database is PostgreSQL, and server.query_database_url"
    " (QUERY_DATABASE_URL) does not name a role of its own for it."
)


def run(order: dict[str, Any], views: Mapping[str, Select[Any]], out: IO[bytes]) -> dict[str, Any]:
    """Write the answer to `order` into `out`, when it is its turn, and return the report.

    Raises
    ------
    InvalidRequestError
        If the site has no reading role, or one that may read more than it is given here.
    ConflictError
        If other queries are running.
    """
    url = config.current().query_database_url
    role = make_url(url).username if url else None
    if not role:
        raise InvalidRequestError(_NOT_SET_UP)
    with _owner() as connection:
        _check_role(connection, role)
        with _turn(connection), _schema(connection, role, views) as schema:
            plain = make_url(url).set(drivername="postgresql")
            order |= {"url": plain.render_as_string(hide_password=False), "schema": schema}
            return select_process.run(_PROGRAM, _OPTIONS, order, out)


@contextmanager
def _owner() -> Iterator[Connection]:
    try:
        with db.engine.connect() as connection:
            yield connection.execution_options(isolation_level="AUTOCOMMIT")
    except SQLAlchemyError as error:
        raise InvalidRequestError(f"SELECT could not be prepared: {error.__cause__}") from error


def _check_role(connection: Connection, role: str) -> None:
    """Refuse a role by which a query could reach accounts."""
    rights = text(
        "SELECT r.rolsuper OR r.rolcreaterole OR r.rolreplication OR r.rolbypassrls"
        " OR pg_has_role(r.rolname, current_user, 'MEMBER')"
        " OR pg_has_role(r.rolname, 'pg_read_all_data', 'MEMBER')"
        " OR pg_has_role(r.rolname, 'pg_read_server_files', 'MEMBER')"
        " OR pg_has_role(r.rolname, 'pg_execute_server_program', 'MEMBER')"
        " OR EXISTS (SELECT 1 FROM pg_tables t WHERE t.schemaname = current_schema()"
        " AND has_any_column_privilege(r.rolname, quote_ident(t.schemaname) || '.' ||"
        " quote_ident(t.tablename), 'SELECT, INSERT, UPDATE'))"
        " FROM pg_roles r WHERE r.rolname = :role"
    )
    has_rights = connection.execute(rights, {"role": role}).scalar()
    if has_rights is None:
        raise InvalidRequestError(f"SELECT is not set up here: there is no role {role}.")
    if has_rights:
        raise InvalidRequestError(
            f"SELECT is not safe here: the role {role} can reach more than it needs. Make one with"
            " CREATE ROLE name LOGIN PASSWORD '...' and grant it nothing."
        )


@contextmanager
def _turn(connection: Connection) -> Iterator[None]:
    end = time.monotonic() + select_process.PATIENCE_S
    attempt = text("SELECT pg_try_advisory_lock(:key)")
    while not connection.execute(attempt, {"key": _LOCK}).scalar():
        if time.monotonic() > end:
            raise ConflictError("Other queries are running; try again in a few seconds.")
        time.sleep(0.05)
    try:
        yield
    finally:
        connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _LOCK})


@contextmanager
def _schema(connection: Connection, role: str, views: Mapping[str, Select[Any]]) -> Iterator[str]:
    """Make the views in a schema of their own, for as long as the query runs."""
    _drop_left_over(connection)
    schema = f"{_PREFIX}{secrets.token_hex(8)}"
    quoted = '"{}"'.format(role.replace('"', '""').replace("%", "%%"))
    connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
    try:
        for name, view in views.items():
            connection.exec_driver_sql(
                f"CREATE VIEW {schema}.{name} WITH (security_barrier) AS {_text(view)}"
            )
        connection.exec_driver_sql(f"GRANT USAGE ON SCHEMA {schema} TO {quoted}")
        connection.exec_driver_sql(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {quoted}")
        yield schema
    finally:
        connection.exec_driver_sql(f"DROP SCHEMA {schema} CASCADE")


def _drop_left_over(connection: Connection) -> None:
    """Drop what a process that died left; it is our turn, so no query uses it."""
    names = connection.execute(
        text("SELECT nspname FROM pg_namespace WHERE starts_with(nspname, :prefix)"),
        {"prefix": _PREFIX},
    )
    for name in names.scalars().all():
        connection.exec_driver_sql(f"DROP SCHEMA {name} CASCADE")


def _text(view: Select[Any]) -> str:
    options = {"literal_binds": True}
    compiled = view.compile(dialect=db.engine.dialect, compile_kwargs=options)
    return str(compiled).replace("%", "%%")
