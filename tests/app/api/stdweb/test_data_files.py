import io

import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image as Picture
from sqlalchemy import event

from app import paths
from app.db import db, transaction
from app.models import Proposal, User
from app.services import settings
from tests.app.services.rawfiles import fits_bytes, store
from tests.conftest import client_of
from tests.factories import make_frame, make_user


@pytest.fixture(autouse=True)
def raw(app: Flask) -> None:
    here = paths.current()
    store(here.raw / "night1" / "b.fits", fits_bytes())
    store(here.raw / "night1" / ".part", b"x")
    store(here.raw / "a.txt", b"words")
    store(here.data / "MASTERS" / "bias.fits", fits_bytes())
    store(here.data / "TMP" / "query.csv", b"x")


def names(client: FlaskClient, path: str) -> list[str]:
    return [one["name"] for one in client.get(f"/stdweb/api/files/{path}").get_json()]


def test_folders_come_first_and_private_ones_not_at_all(client: FlaskClient) -> None:
    assert names(client, "") == ["MASTERS", "RAW"]
    assert names(client, "RAW") == ["night1", "a.txt"]
    assert names(client, "RAW/night1") == names(client, "night1/") == ["b.fits"]


def test_file_is_sent_and_shown(client: FlaskClient) -> None:
    with client.get("/stdweb/api/files/RAW/night1/b.fits") as sent:
        assert (sent.data, sent.mimetype) == (fits_bytes(), "image/fits")
    shown = client.get("/stdweb/api/files/night1/b.fits/preview/?format=png&width=8")

    assert Picture.open(io.BytesIO(shown.data)).size == (8, 6)


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("none", "Path not found"),
        ("TMP", "Path not found"),
        ("TMP/query.csv", "Path not found"),
        ("RAW/night1/.part", "Path not found"),
        ("RAW/night1/" + "x" * 300, "Path not found"),
        ("..%2f..%2fetc/passwd", "Invalid path"),
        ("RAW/../../../etc/passwd", "Invalid path"),
        ("RAW/night1%00", "Invalid path"),
        ("RAW/preview/", "Path not found"),
    ],
)
def test_what_is_not_there_or_outside_is_not_found(
    client: FlaskClient, path: str, why: str
) -> None:
    response = client.get(f"/stdweb/api/files/{path}")

    assert (response.status_code, response.get_json()) == (404, {"detail": why})


def test_goodmans_archive_keeps_its_own_files(client: FlaskClient, observer: User) -> None:
    assert set(client.get("/api/files/").get_json()) == {"count", "next", "previous", "results"}


def test_files_of_a_folder_are_looked_up_together(app: Flask, observer: User, staff: User) -> None:
    settings.change("access", "visibility", "members", by=staff)
    here, statements = paths.current(), list[str]()
    for n in range(30):
        store(here.data / "PROCESSED" / f"{n}.fits", fits_bytes())
        make_frame(path=f"PROCESSED/{n}.fits", level=2, proposal_id=_owned(n))
    client = client_of(app, observer)
    event.listen(db.engine, "before_cursor_execute", lambda *seen: statements.append(seen[2]))

    listed = names(client, "PROCESSED")

    assert listed == sorted(f"{n}.fits" for n in range(0, 30, 2))
    assert sum("frames.thumb" in one for one in statements) < 4


def _owned(n: int) -> int | None:
    """Return no proposal for every other frame, else one of somebody."""
    if n % 2 == 0:
        return None
    with transaction():
        proposal = Proposal(code=f"P{n}", pi=make_user(f"leader{n}"))
        db.session.add(proposal)
        db.session.flush()
        return proposal.id
