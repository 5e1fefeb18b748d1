"""The generated documentation: complete, and true of who may call what."""

from typing import Any

import pytest
from flask import Flask

from app.api import openapi
from app.api.auth import PUBLIC


@pytest.fixture
def document(app: Flask) -> dict[str, Any]:
    return openapi.document(app)


def references(node: Any) -> set[str]:
    if isinstance(node, dict):
        here = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
        return here.union(*(references(value) for value in node.values()))
    return set().union(*(references(item) for item in node)) if isinstance(node, list) else set()


def test_document_is_openapi_3_1_and_every_reference_leads_somewhere(
    document: dict[str, Any],
) -> None:
    assert document["openapi"] == "3.1.0"
    for reference in references(document):
        node: Any = document
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]
        assert node


def test_operation_without_security_is_public_and_no_other(
    app: Flask, document: dict[str, Any]
) -> None:
    paths = document["paths"]

    assert paths["/reduction/auth/login"]["post"]["security"] == []
    assert {} in paths["/media/{relative}"]["get"]["security"]
    for path, operations in paths.items():
        for method, operation in operations.items():
            if operation.get("security") == []:
                adapter = app.url_map.bind("x")
                endpoint, _ = adapter.match(path.replace("{", "").replace("}", ""), method.upper())
                assert endpoint in PUBLIC
    assert document["security"] == [{"Token": []}, {"Bearer": []}, {"Session": []}]


def test_every_type_of_a_mar_endpoint_is_documented_with_its_fields(
    document: dict[str, Any],
) -> None:
    post = document["paths"]["/reduction/biasblock"]["post"]

    body = post["requestBody"]["content"]
    assert set(body) == set(openapi.BODY_TYPES)
    kinds = {one["title"]: one for one in body["application/json"]["schema"]["oneOf"]}
    assert set(kinds) >= {"get", "create", "process", "validate", "setcomment", "register"}
    assert kinds["setstatus"]["required"] == ["type", "id", "status"]
    assert {"startDate", "endDate"} <= set(kinds["create"]["properties"])


def test_every_mar_call_is_documented(app: Flask, document: dict[str, Any]) -> None:
    aliases = {"individual", "individualfiles", "flatblockbyfilter", "fieldimage", "field"}
    for rule in app.url_map.iter_rules():
        if not rule.rule.startswith("/reduction/") or rule.rule.rpartition("/")[2] in aliases:
            continue
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            operation = document["paths"][rule.rule][method.lower()]
            assert operation["summary"], rule.rule
            assert any(status.startswith("2") for status in operation["responses"])


def test_document_can_be_made_twice(app: Flask, document: dict[str, Any]) -> None:
    assert openapi.document(app) == document
