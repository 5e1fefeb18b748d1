"""The role SELECT needs on PostgreSQL, as an administrator would make it."""

from dataclasses import replace

from flask import Flask
from sqlalchemy import make_url, text

from app import config
from app.db import db

ROLE = "coelostat_select"


def is_postgresql() -> bool:
    return db.engine.dialect.name == "postgresql"


def set_up(app: Flask, role: str = ROLE) -> None:
    """Let `app` answer SELECT on PostgreSQL; SQLite needs nothing."""
    if not is_postgresql():
        return
    with db.engine.connect() as connection:
        known = connection.execute(
            text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": role}
        )
        if known.scalar() is None:
            connection.exec_driver_sql(f"CREATE ROLE {role} LOGIN")
            connection.commit()
    use(app, role)


def use(app: Flask, role: str) -> None:
    """Let SELECT connect as `role`; none where it is empty."""
    settings = config.current()
    url = make_url(settings.database_url).set(username=role).render_as_string(hide_password=False)
    app.extensions["coelostat.config"] = replace(settings, query_database_url=role and url)
