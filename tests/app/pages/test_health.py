"""The health page: open to monitors, and honest."""

import subprocess

from flask import Flask
from flask.testing import FlaskClient

from app import paths, queue_server
from app.services import courier, health


def test_health_needs_no_token_and_names_what_is_missing(stranger: FlaskClient) -> None:
    response = stranger.get("/healthz")

    assert response.status_code == 503
    assert response.get_json() == {
        "status": "incomplete",
        "missing": ["queue", "dispatcher", "worker"],
        "detail": health.trouble(),
        "web": 1,
        "database": 1,
        "queue": 0,
        "dispatcher": 0,
        "worker": 0,
        "raw": "there",
    }


def test_health_tells_that_raw_is_not_there_but_not_where(
    app: Flask, stranger: FlaskClient
) -> None:
    raw = paths.current().raw
    raw.rename(raw.with_name("unmounted"))

    answer = stranger.get("/healthz")

    assert answer.get_json()["raw"] == "not there: is its disk mounted?"
    assert "raw" not in answer.get_json()["missing"]
    assert str(raw) not in answer.text


def test_health_is_good_once_every_part_has_been_heard(app: Flask, stranger: FlaskClient) -> None:
    socket = courier.socket_path(paths.current())
    queue_server.prepare_socket(socket)
    with subprocess.Popen(queue_server.command(socket)) as server:
        try:
            while stranger.get("/healthz").get_json()["queue"] == 0:
                """It takes a moment to start."""
            quiet = stranger.get("/healthz")
            for part in ("dispatcher", "worker"):
                courier.beat(part)
            whole = stranger.get("/healthz")
        finally:
            courier.connection().close()
            server.kill()

    assert (quiet.status_code, quiet.get_json()["missing"]) == (503, ["dispatcher", "worker"])
    assert quiet.get_json()["detail"].startswith("The dispatcher is not alive")
    assert (whole.status_code, whole.get_json()["status"]) == (200, "ok")
