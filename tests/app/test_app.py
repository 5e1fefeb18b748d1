"""The application as it is put together: what it believes of a request."""

import sys
from pathlib import Path

import pytest
from flask import Flask, request

from app import config, create_app


def seen_by(tmp_path: Path, proxies: int) -> Flask:
    path = tmp_path / "instance" / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text(f"[server]\ntrusted_proxies = {proxies}\n")
    app = create_app(config.load({"COELOSTAT_INSTANCE": str(path.parent)}))

    @app.before_request
    def tell() -> str:
        return f"{request.remote_addr} {request.host_url}"

    return app


@pytest.mark.parametrize(
    ("proxies", "told"),
    [
        (
            0,
            "10.0.0.1 http://localhost/",
        ),  # else anybody could choose the address that is throttled
        (1, "203.0.113.9 https://dome.example/"),
    ],
)
def test_forwarded_headers_are_believed_of_as_many_proxies_as_the_setting_says(
    tmp_path: Path, proxies: int, told: str
) -> None:
    client = seen_by(tmp_path, proxies).test_client()

    response = client.get(
        "/healthz",
        headers={
            "X-Forwarded-For": "198.51.100.1, 203.0.113.9",
            "X-Forwarded-Proto": "https",
            "X-Forwarded-Host": "dome.example",
        },
        environ_base={"REMOTE_ADDR": "10.0.0.1"},
    )

    assert response.text == told


@pytest.mark.parametrize(
    ("command", "has_pages"),
    [("run", True), ("shell", True), ("routes", True), ("spec", True), ("scan", False)],
)
def test_of_the_commands_flasks_own_have_pages_and_ours_begin_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, *, has_pages: bool
) -> None:
    monkeypatch.setenv("FLASK_RUN_FROM_CLI", "true")
    monkeypatch.setattr(sys, "argv", ["flask", "--app", "app", command])

    app = create_app(config.load({"COELOSTAT_INSTANCE": str(tmp_path / "instance")}))

    rules = {rule.rule for rule in app.url_map.iter_rules()}
    assert ("/nights/" in rules) is has_pages
