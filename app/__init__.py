"""Coelostat: one Flask application, assembled here and nowhere else."""

from importlib import import_module
from typing import Final

import orjson
from apiflask import APIFlask
from flask import Flask
from flask.json.provider import DefaultJSONProvider
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.routing import IntegerConverter, Map

from app import cli, config
from app.api import auth
from app.db import db, prepare_engine
from app.paths import Paths
from app.services import browser_sessions

__version__ = "0.1.0"

# Each has a `blueprint`; the faces' own pages are in their packages.
PARTS: Final = (
    "app.api.splus",
    "app.api.goodman",
    "app.api.stdweb",
    "app.api.atlas",
    "app.api.bhtom",
    "app.api.sources",
    "app.pages",
)


class RecordJson(DefaultJSONProvider):
    """JSON whose records keep their documented order."""

    sort_keys = False


class RowNumber(IntegerConverter):
    """A number in an address; one no database can hold is no address."""

    def __init__(self, url_map: Map) -> None:
        super().__init__(url_map, max=2**63 - 1)


def _json_text(value: object) -> str:
    # NaN becomes null: one stored NaN makes every later query into that column fail.
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()


def create_app(settings: config.Config | None = None, *, is_served: bool | None = None) -> Flask:
    """Build the application from its configuration, by default this machine's.

    One that is not served has neither pages nor faces, whose making takes as long as all the rest;
    where nobody says, it is, but for a command (`cli.is_served`).
    """
    settings = settings or config.load()
    app = APIFlask(__name__, title="Coelostat", version=__version__, docs_path=None, spec_path=None)
    app.config.update(
        SECRET_KEY=settings.secret_key,
        SQLALCHEMY_DATABASE_URI=settings.database_url,
        SQLALCHEMY_ENGINE_OPTIONS={"json_serializer": _json_text},
        SESSION_COOKIE_NAME="coelostat",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        PERMANENT_SESSION_LIFETIME=browser_sessions.LIFETIME,
        MAX_CONTENT_LENGTH=8 << 20,
    )
    app.url_map.strict_slashes = False
    app.url_map.converters["int"] = RowNumber
    app.json = RecordJson(app)
    _trust_proxies(app, settings.trusted_proxies)
    app.extensions["coelostat.config"] = settings
    Paths.of(settings).make()
    db.init_app(app)
    with app.app_context():
        prepare_engine(db.engine)
    cli.register(app)
    if cli.is_served() if is_served is None else is_served:
        _add_faces(app)
    return app


def _add_faces(app: Flask) -> None:
    """Let the application answer requests."""
    auth.init_app(app)
    for part in PARTS:
        for blueprint in import_module(part).BLUEPRINTS:
            app.register_blueprint(blueprint)


def _trust_proxies(app: Flask, number: int) -> None:
    """Believe what so many reverse proxies in front say of the client's address and scheme."""
    if number > 0:
        behind = ProxyFix(app.wsgi_app, x_for=number, x_proto=number, x_host=number)
        app.wsgi_app = behind  # type: ignore[method-assign]  # as Flask's documentation has it
