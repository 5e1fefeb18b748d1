"""The documentation of the APIs, generated from the routes and shown offline."""

from typing import Any, cast

from apiflask import APIFlask
from flask import current_app, jsonify, render_template
from flask.typing import ResponseReturnValue

from app.api.auth import PUBLIC
from app.pages.base import blueprint


@blueprint.get("/docs/")
def show_docs() -> ResponseReturnValue:
    """Show the documentation of every API."""
    return render_template("docs.html")


@blueprint.get("/docs/openapi.json")
def send_openapi() -> ResponseReturnValue:
    """Send the OpenAPI 3.1 document."""
    return jsonify(_document())


def _document() -> dict[str, Any]:
    """Return the generated document with what every route shares: how one says who is asking."""
    document = cast(dict[str, Any], cast(APIFlask, current_app).spec)
    schemes = document.setdefault("components", {}).setdefault("securitySchemes", {})
    schemes["token"] = {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "`Token <key>` or `Bearer <key>`; make a key on your account page.",
    }
    schemes["session"] = {"type": "apiKey", "in": "cookie", "name": "coelostat"}
    document["security"] = [{"token": []}, {"session": []}]
    for address in _open_addresses():
        for operation in document.get("paths", {}).get(address, {}).values():
            operation["security"] = []
    return document


def _open_addresses() -> set[str]:
    rules = current_app.url_map.iter_rules()
    return {rule.rule for rule in rules if rule.endpoint in PUBLIC}
