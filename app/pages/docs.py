"""The documentation of the APIs, generated from the routes and shown offline."""

from flask import current_app, jsonify, render_template
from flask.typing import ResponseReturnValue

from app.api import openapi
from app.pages.base import blueprint


@blueprint.get("/docs/")
def show_docs() -> ResponseReturnValue:
    """Show the documentation of every API."""
    return render_template("docs.html")


@blueprint.get("/docs/openapi.json")
def send_openapi() -> ResponseReturnValue:
    """Send the OpenAPI 3.1 document."""
    return jsonify(openapi.document(current_app))
