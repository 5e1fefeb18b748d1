import re
from pathlib import Path

from flask import Flask

import app as application
from tests.app.pages.conftest import Browser

STATIC = Path(application.__file__).parent / "static"


def described(rule: str) -> str:
    """A route as OpenAPI writes it."""
    return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule)


def is_alias(app: Flask, endpoint: str) -> bool:
    """Whether a route only repeats one that is in the document, and says so itself."""
    face = app.blueprints.get(endpoint.partition(".")[0])
    hidden = getattr(app.view_functions[endpoint], "_spec", {}).get("hide", False)
    return hidden or not getattr(face, "enable_openapi", True)


def test_document_is_openapi_31_and_has_every_route_of_every_face(
    app: Flask, browser: Browser
) -> None:
    document = browser.get("/docs/openapi.json").get_json()

    ours = {"pages", "health", "static"}
    faces = [r for r in app.url_map.iter_rules() if r.endpoint.partition(".")[0] not in ours]
    routes = [r for r in faces if not is_alias(app, r.endpoint)]
    missing = [r.rule for r in routes if described(r.rule) not in document["paths"]]
    assert document["openapi"].startswith("3.1")
    assert len(routes) > 30
    assert missing == []


def test_document_says_how_to_authenticate(browser: Browser) -> None:
    document = browser.get("/docs/openapi.json").get_json()

    schemes = document["components"]["securitySchemes"]
    assert document["security"] == [{name: []} for name in schemes]
    assert schemes["Token"]["name"] == "Authorization"
    assert document["paths"]["/api/token-auth/"]["post"]["security"] == []
    assert "security" not in document["paths"]["/api/files/"]["get"]


def test_document_says_what_the_archive_takes_and_answers(browser: Browser) -> None:
    listing = browser.get("/docs/openapi.json").get_json()["paths"]["/api/files/"]["get"]

    names = {parameter["name"] for parameter in listing["parameters"]}
    assert {"data_type", "obstype", "filter_2", "page"} <= names
    record = listing["responses"]["200"]["content"]["application/json"]["schema"]
    assert set(record["properties"]) == {"count", "next", "previous", "results"}


def test_pages_are_not_in_the_document(browser: Browser) -> None:
    assert "/nights/" not in browser.get("/docs/openapi.json").get_json()["paths"]


def test_no_page_of_ours_loads_or_inlines_anything_foreign(browser: Browser) -> None:
    for address in ("/", "/docs/", "/jobs/", "/blocks/", "/settings/", "/account/"):
        page = browser.text(address)
        sources = re.findall(r'(?:src|href|action)="([^"]*)"', page)
        assert sources
        assert [s for s in sources if not s.startswith(("/", "#"))] == []
        assert re.findall(r"<script(?![^>]*\ssrc=)", page) == []
        assert re.findall(r"<style|\sstyle=|\son[a-z]+=", page) == []


def test_every_file_a_page_names_is_there(browser: Browser) -> None:
    named = {
        source
        for address in ("/", "/docs/")
        for source in re.findall(r'"/static/([^"]+)"', browser.text(address))
    }

    assert len(named) > 5
    assert [name for name in named if not (STATIC / name).is_file()] == []


def test_vendored_code_keeps_its_licences() -> None:
    folders = [folder for folder in (STATIC / "vendor").iterdir() if folder.is_dir()]

    assert {folder.name for folder in folders} == {"htmx", "swagger-ui", "uplot"}
    assert all((folder / "LICENSE").is_file() for folder in folders)
