"""The OpenAPI 3.1 document: generated from the routes, with what each view says of itself.

Views here read their bodies themselves, since clients send them in every shape; so the schema of a
body stands beside the view, put there by `describe`, and joins what the generator finds.
"""

import copy
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar, cast

from apiflask import APIFlask
from flask import Flask
from werkzeug.routing import Rule

from app.api.auth import PUBLIC

Schema = Mapping[str, Any]
View = TypeVar("View", bound=Callable[..., Any])

VERSION: Final = "3.1.0"
BODY_TYPES: Final = (
    "application/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data",
)
ERROR: Final = {"type": "object", "properties": {"detail": {"type": "string"}}}
SCHEMES: Final = {
    "Token": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "`Token <key>`, the key from any of the sign-in calls.",
    },
    "Bearer": {"type": "http", "scheme": "bearer", "description": "The same key as `Bearer`."},
    "Session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "coelostat",
        "description": "A browser's session; what changes something also wants `X-CSRFToken`.",
    },
}
# Public for the site that opens them; everywhere else they want what the rest wants.
_MAY_BE_OPEN: Final = frozenset({"splus.media"})
_ATTRIBUTE: Final = "_described"
_CONVERTER: Final = re.compile(r"<(?:[^:<>]+:)?([^<>]+)>")
_UNLISTED: Final = frozenset({"HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Description:
    """What a view says of its requests and answers, as JSON Schemas."""

    body: Schema | None = None
    body_required: bool = True
    answer: Schema | None = None
    answer_type: str = "application/json"
    status: int = 200
    query: Mapping[str, Schema] = field(default_factory=dict)
    refusals: Mapping[int, Schema] = field(default_factory=dict)
    components: Mapping[str, Schema] = field(default_factory=dict)


def describe(view: View, **parts: Any) -> View:  # noqa: ANN401 - the fields of a Description
    """Say of `view` what it takes and answers; the parts are those of a `Description`."""
    setattr(view, _ATTRIBUTE, Description(**parts))
    return view


def described(**parts: Any) -> Callable[[View], View]:  # noqa: ANN401 - as `describe`
    """Return `describe` as a decorator."""

    def decorate(view: View) -> View:
        return describe(view, **parts)

    return decorate


def document(app: Flask) -> dict[str, Any]:
    """Return the whole document of `app`."""
    app.config["OPENAPI_VERSION"] = VERSION
    spec = copy.deepcopy(cast(dict[str, Any], cast(APIFlask, app).spec))
    components = spec.setdefault("components", {})
    components["securitySchemes"] = dict(SCHEMES)
    spec["security"] = [{name: []} for name in SCHEMES]
    for rule, operation in _operations(app, spec):
        _secure(rule, operation, spec["security"])
        found = getattr(app.view_functions[rule.endpoint], _ATTRIBUTE, None)
        if isinstance(found, Description):
            _complete(operation, found)
            components.setdefault("schemas", {}).update(found.components)
    return spec


def _operations(app: Flask, spec: Mapping[str, Any]) -> Iterator[tuple[Rule, dict[str, Any]]]:
    for rule in app.url_map.iter_rules():
        path = spec.get("paths", {}).get(_CONVERTER.sub(r"{\1}", rule.rule), {})
        for method in (rule.methods or set()) - _UNLISTED:
            if method.lower() in path:
                yield rule, path[method.lower()]


def _secure(rule: Rule, operation: dict[str, Any], every: list[dict[str, Any]]) -> None:
    if rule.endpoint in _MAY_BE_OPEN:
        operation["security"] = [{}, *every]
    elif rule.endpoint in PUBLIC:
        operation["security"] = []
    if rule.endpoint not in PUBLIC or rule.endpoint in _MAY_BE_OPEN:
        _answers(operation).setdefault("401", _json("No token, or one that is not good.", ERROR))


def _complete(operation: dict[str, Any], found: Description) -> None:
    if found.body is not None:
        content = {kind: {"schema": dict(found.body)} for kind in BODY_TYPES}
        operation["requestBody"] = {"required": found.body_required, "content": content}
    for name, schema in found.query.items():
        parameter = {"name": name, "in": "query", "required": False, "schema": dict(schema)}
        operation.setdefault("parameters", []).append(parameter)
    answers = _answers(operation)
    if found.answer is not None:
        if found.status != 200:
            answers.pop("200", None)
        answers[str(found.status)] = _json("As asked.", found.answer, found.answer_type)
    for status, schema in found.refusals.items():
        answers[str(status)] = _json("Refused.", schema)


def _answers(operation: dict[str, Any]) -> dict[str, Any]:
    answers: dict[str, Any] = operation.setdefault("responses", {})
    return answers


def _json(text: str, schema: Schema, kind: str = "application/json") -> dict[str, Any]:
    return {"description": text, "content": {kind: {"schema": dict(schema)}}}
