"""Files by path: whole, in parts, only to those who may, and nothing outside the data root."""

import os
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app import paths
from app.db import db, transaction
from app.models import Job, JobState, Level, Proposal, User
from app.services import jobs, queries, settings
from tests.conftest import client_of, sign_in
from tests.factories import make_frame, make_user

CONTENT = bytes(range(256)) * 8


@pytest.fixture
def master(app: Flask) -> str:
    return put("MASTERS/BIAS/bias.fits")


def put(name: str, content: bytes = CONTENT) -> str:
    here = paths.current()
    base, rest = (here.raw, name[4:]) if name.startswith("RAW/") else (here.data, name)
    path = base / rest
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return name


def status(client: FlaskClient, name: str) -> int:
    return client.get(f"/media/{name}", buffered=True).status_code


# The file itself


def test_file_is_sent_whole_with_its_type(client: FlaskClient, master: str) -> None:
    response = client.get(f"/media/{master}", buffered=True)

    assert (response.status_code, response.data) == (200, CONTENT)
    assert response.content_type == "application/fits"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["ETag"]
    assert "private" in response.headers["Cache-Control"]


@pytest.mark.parametrize(
    ("suffix", "kind"),
    [
        ("fits.gz", "application/gzip"),
        ("FITS", "application/fits"),
        ("fits.fz", "application/fits"),
        ("png", "image/png"),
        ("csv", "text/csv; charset=utf-8"),
        ("html", "application/octet-stream"),
        ("svg", "application/octet-stream"),
        ("js", "application/octet-stream"),
    ],
)
def test_no_file_is_sent_as_something_a_browser_runs(
    client: FlaskClient, suffix: str, kind: str
) -> None:
    response = client.get(f"/media/{put(f'SWARP/a.{suffix}')}", buffered=True)

    assert response.content_type == kind
    assert "Content-Encoding" not in response.headers
    if kind == "application/octet-stream":
        assert response.headers["Content-Disposition"].startswith("attachment")


def test_unchanged_file_is_not_sent_again(client: FlaskClient, master: str) -> None:
    first = client.get(f"/media/{master}", buffered=True)

    for header in ("ETag", "Last-Modified"):
        asked = {"ETag": "If-None-Match", "Last-Modified": "If-Modified-Since"}[header]
        again = client.get(
            f"/media/{master}", headers={asked: first.headers[header]}, buffered=True
        )
        assert (again.status_code, again.data) == (304, b"")
    put(master, CONTENT[::-1])
    os.utime(paths.current().data / master, (1, 1))
    changed = client.get(
        f"/media/{master}", headers={"If-None-Match": first.headers["ETag"]}, buffered=True
    )
    assert (changed.status_code, changed.data) == (200, CONTENT[::-1])


def test_part_of_a_file_is_sent(client: FlaskClient, master: str) -> None:
    for asked, part in {"bytes=0-9": CONTENT[:10], "bytes=-5": CONTENT[-5:]}.items():
        response = client.get(f"/media/{master}", headers={"Range": asked}, buffered=True)
        assert (response.status_code, response.data) == (206, part)
        assert response.headers["Content-Range"].endswith(f"/{len(CONTENT)}")
    beyond = client.get(f"/media/{master}", headers={"Range": "bytes=99999-"}, buffered=True)
    assert beyond.status_code == 416


def test_head_tells_the_length_only(client: FlaskClient, master: str) -> None:
    response = client.head(f"/media/{master}", buffered=True)

    assert (response.status_code, response.data) == (200, b"")
    assert response.content_length == len(CONTENT)


# Nothing else


def test_nothing_outside_the_data_root_is_sent(client: FlaskClient, master: str) -> None:
    here = paths.current()
    secret = here.instance / "secret_key"
    assert secret.is_file()
    (here.data / "MASTERS" / "link").symlink_to(secret)
    (here.data / "MASTERS" / "away").symlink_to("/etc")
    (here.raw / "link.fits").symlink_to(secret)
    (here.raw / "circle.fits").symlink_to("circle.fits")

    for name in (
        "../secret_key",
        "..%2fsecret_key",
        "MASTERS/../../secret_key",
        "MASTERS/link",
        "MASTERS/away/passwd",
        "RAW/link.fits",
        "RAW/circle.fits",
        "RAW/../secret_key",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "//etc/passwd",
        "MASTERS/BIAS/bias.fits%00.png",
        "x" * 5000,
        "a/" * 3000,
        "x" * 300,
    ):
        assert status(client, name) in {404, 308}, name


def test_folders_are_never_listed(client: FlaskClient, master: str) -> None:
    for name in ("MASTERS", "MASTERS/", "MASTERS/BIAS", "RAW", "RAW/", "TMP", "."):
        assert status(client, name) == 404


def test_what_is_hidden_or_no_file_is_not_sent(client: FlaskClient) -> None:
    os.mkfifo(paths.current().data / "pipe.fits")

    assert status(client, put("PROCESSED/r/.a.fits.partial")) == 404
    assert status(client, put("MASTERS/.git/config")) == 404
    assert status(client, "pipe.fits") == 404


# Who may


def test_stranger_gets_nothing_unless_the_site_is_open(
    stranger: FlaskClient, master: str, staff: User
) -> None:
    closed = stranger.get(f"/media/{master}", buffered=True)
    bad = stranger.get(f"/media/{master}", headers={"Authorization": "Token x"}, buffered=True)
    absent = stranger.get("/media/MASTERS/absent.fits", buffered=True)
    settings.change("access", "media_open", True, by=staff)
    opened = stranger.get(f"/media/{master}", buffered=True)

    assert (closed.status_code, closed.get_json()) == (
        401,
        {"detail": "Authentication credentials were not provided."},
    )
    assert (bad.status_code, bad.get_json()) == (401, {"detail": "Invalid token."})
    assert absent.status_code == 401
    assert (opened.status_code, opened.data) == (200, CONTENT)


def test_open_site_keeps_logs_results_and_settings_to_itself(
    stranger: FlaskClient, staff: User
) -> None:
    settings.change("access", "media_open", True, by=staff)

    for name in ("LOGS/job-000001.log", "TMP/x.csv", "CONFIG/dome.toml", "TMP/query_result.csv"):
        assert status(stranger, put(name)) == 404


def test_browser_session_will_do(app: Flask, observer: User, master: str) -> None:
    browser = sign_in(app.test_client(), observer, "c")

    assert status(browser, master) == 200


@pytest.fixture
def secret(app: Flask, staff: User) -> str:
    """A member's frame, on a site that shows frames to members only."""
    with transaction():
        proposal = Proposal(code="P1", members=[make_user("member")])
        db.session.add(proposal)
    name = put("RAW/2026-11-20/secret.fits")
    thumb = put("THUMBS/secret.png")
    make_frame("science", path=name, proposal=proposal, thumb=thumb)
    settings.change("access", "visibility", "members", by=staff)
    return name


def test_file_of_a_frame_follows_the_frame(
    app: Flask, secret: str, client: FlaskClient, staff_client: FlaskClient
) -> None:
    member = db.session.query(User).filter_by(username="member").one()
    here = paths.current()
    (here.raw / "2026-11-20" / "alias.fits").symlink_to(here.raw / secret[4:])
    put("RAW/2026-11-20/copy.fits")

    for name in (secret, "THUMBS/secret.png", "RAW/2026-11-20/./secret.fits"):
        assert status(client, name) == 404
        assert status(client_of(app, member), name) == 200
        assert status(staff_client, name) == 200
    for way_round in (
        "RAW//2026-11-20//secret.fits",
        "RAW/2026-11-20/alias.fits",
        "RAW/2026-11-20/copy.fits",
        "MASTERS/../RAW/2026-11-20/secret.fits",
    ):
        assert status(client, way_round) in {404, 308}


def test_open_site_still_shows_members_frames_to_members(
    stranger: FlaskClient, secret: str, master: str, staff: User
) -> None:
    settings.change("access", "media_open", True, by=staff)
    public = put("RAW/2026-11-20/public.fits")
    make_frame("science", path=public)
    make_frame("bias", path=master, level=Level.MASTER)

    assert status(stranger, secret) == 404
    assert (status(stranger, public), status(stranger, master)) == (200, 200)


def test_stranger_gets_what_is_public_alone_where_everyone_signed_in_sees_all(
    stranger: FlaskClient, client: FlaskClient, secret: str, staff: User
) -> None:
    settings.change("access", "media_open", True, by=staff)
    settings.change("access", "visibility", "everyone", by=staff)
    public = put("RAW/2026-11-20/public.fits")
    make_frame("science", path=public)
    unknown = put("RAW/2026-11-20/copy.fits")

    for name, wanted in ((secret, 404), ("THUMBS/secret.png", 404), (unknown, 404), (public, 200)):
        assert status(stranger, name) == wanted
        assert status(client, name) == 200


def test_job_log_goes_with_its_job(
    app: Flask, client: FlaskClient, staff_client: FlaskClient, observer: User
) -> None:
    with transaction():
        job = Job(function="x.y", owner_id=observer.id, state=JobState.DONE)
        db.session.add(job)
    log: Path = jobs.log_path(job.id)
    log.write_text("done\n")
    name = f"LOGS/{log.name}"
    other = client_of(app, make_user("other"))

    assert (status(client, name), status(staff_client, name)) == (200, 200)
    assert status(other, name) == 404
    assert status(other, f"LOGS/./{log.name}") == 404
    assert status(client, put("LOGS/other.log")) == 404


def test_query_result_is_its_owners(
    app: Flask, client: FlaskClient, staff_client: FlaskClient, observer: User
) -> None:
    name = f"query_u{observer.id}_20261121T000000000000_0a1b2c3d.csv"
    put(f"TMP/{name}")
    other = client_of(app, make_user("other"))

    for fetched in (f"TMP/{name}", f"TMP/{queries.NEWEST}"):
        assert status(client, fetched) == 200
        assert status(other, fetched) == 404
    assert status(staff_client, f"TMP/{name}") == 200
    assert status(staff_client, f"TMP/{queries.NEWEST}") == 404


def test_stored_settings_are_for_staff(client: FlaskClient, staff_client: FlaskClient) -> None:
    name = put("CONFIG/dome.toml")

    assert (status(client, name), status(staff_client, name)) == (404, 200)
