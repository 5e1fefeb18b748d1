"""Run migrations on the application's database."""

from alembic import context
from flask import current_app

from app.db import Base, db


def render_item(type_: str, obj: object, _autogen_context) -> str | bool:
    """Name our own column type by its module in generated scripts."""
    if type_ == "type" and type(obj).__module__ == "app.db":
        return f"{type(obj).__name__}()"
    return False


def run_migrations() -> None:
    connection = current_app.config.get("MIGRATION_CONNECTION")
    if connection is not None:
        _run(connection)
        return
    with db.engine.connect() as opened:
        _run(opened)
        opened.commit()


def _run(connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=True,
        render_item=render_item,
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()


run_migrations()
