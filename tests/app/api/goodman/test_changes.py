"""Uploading and deleting through the archive's API."""

import gzip
import hashlib
import os
from datetime import date
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from app import paths
from app.db import db, transaction
from app.errors import NotAllowedError
from app.models import (
    AuditEntry,
    Block,
    BlockFrame,
    BlockKind,
    Frame,
    FrameParent,
    Proposal,
    ScannedFile,
    User,
)
from app.services import blocks, frames, ingest, settings
from tests.app.jobs.blockruns import register_master
from tests.app.jobs.simnight import SHAPE
from tests.app.services.rawfiles import fits_bytes
from tests.conftest import client_of, sign_in
from tests.factories import make_block, make_frame, make_user


def send(
    client: FlaskClient, *files: tuple[str, bytes], prefix: str = "/api", **fields: Any
) -> TestResponse:
    parts = {f"file{n}": (BytesIO(content), name) for n, (name, content) in enumerate(files)}
    return client.post(f"{prefix}/files/", data=fields | parts, content_type="multipart/form-data")


def in_raw() -> list[str]:
    raw = paths.current().raw
    return sorted(p.relative_to(raw).as_posix() for p in raw.rglob("*") if p.is_file())


def waiting() -> list[str]:
    """What lies where uploads wait, which must be nothing once a request is over."""
    return [str(path) for path in (paths.current().data / ".incoming").rglob("*")]


def limit(**values: int) -> None:
    """Set how much goes in one upload."""
    admin = make_user("limiter", is_staff=True)
    for item, value in values.items():
        settings.change("uploads", item, value, by=admin)


def proposal_of(*people: User, code: str = "2026A-7") -> Proposal:
    with transaction():
        proposal = Proposal(code=code, pi=people[0] if people else None)
        db.session.add(proposal)
    return proposal


def reduced(**values: Any) -> tuple[Frame, Frame, Block]:
    """A raw frame, what was reduced from it with its files, and their block."""
    raw = make_frame(status=1)
    data = paths.current().data
    path, thumb = f"PROCESSED/r/p{raw.id}.fits", f"THUMBS/p{raw.id}.png"
    for relative in (path, thumb):
        (data / relative).parent.mkdir(parents=True, exist_ok=True)
        (data / relative).write_bytes(fits_bytes())
    product = make_frame(level=2, path=path, file_name=f"p{raw.id}.fits", thumb=thumb, **values)
    block = make_block("sci", [raw], status=1)
    with transaction():
        db.session.add(FrameParent(child_id=product.id, parent_id=raw.id, role="raw"))
        block.entries[0].product_id = product.id
    return raw, product, block


def is_there(frame_id: int) -> bool:
    db.session.rollback()
    return db.session.scalar(select(Frame.id).where(Frame.id == frame_id)) is not None


# Uploading raw frames


@pytest.mark.parametrize("prefix", ["/api", "/gsp/api"])
def test_uploaded_frame_lies_in_raw_and_is_a_record_of_its_uploader(
    client: FlaskClient, observer: User, prefix: str
) -> None:
    response = send(client, ("0001_m31.fits", fits_bytes()), prefix=prefix)

    assert response.status_code == 201, response.text
    (record,) = response.get_json()["results"]
    assert record["file_name"] == "0001_m31.fits"
    assert record["data_type"] == "0"
    assert record["object"] == "NGC 1"
    frame = db.session.get_one(Frame, record["id"])
    assert frame.owner_id == observer.id
    assert (paths.current().locate(frame.path)).read_bytes() == fits_bytes()
    assert frame.path.startswith("RAW/uploads/20")
    assert frame.file is not None
    assert frame.file.state == "registered"
    assert frame.camera is not None
    assert frame.camera.instrument == "Test Camera"
    assert waiting() == []
    entry = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "uploaded")).one()
    assert (entry.user_id, entry.subject) == (observer.id, f"frame {frame.id}")


def test_scan_after_an_upload_finds_nothing_new(client: FlaskClient) -> None:
    send(client, ("a.fits", fits_bytes()))

    report = ingest.scan()

    assert report.changes == []
    assert dict(report.counts) == {"registered": 1}


def test_raw_body_is_named_in_the_query_whatever_type_it_is_said_to_be(
    client: FlaskClient,
) -> None:
    for number, kind in enumerate(
        ("application/octet-stream", "application/x-www-form-urlencoded", "application/json", None)
    ):
        content = fits_bytes(OBJECT=f"M{number}")
        response = client.post(
            f"/api/files/?file_name=m{number}.fits", data=content, content_type=kind
        )

        assert response.status_code == 201, response.text
        assert response.get_json()["results"][0]["object"] == f"M{number}"


def test_multipart_under_another_content_type_is_taken_as_what_it_is(client: FlaskClient) -> None:
    body = (
        b'--xyz\r\nContent-Disposition: form-data; name="data_type"\r\n\r\n0\r\n'
        b'--xyz\r\nContent-Disposition: form-data; name="x"; filename="a.fits"\r\n\r\n'
        + fits_bytes()
        + b"\r\n--xyz--\r\n"
    )

    response = client.post("/api/files/", data=body, content_type="application/json")

    assert response.status_code == 201, response.text
    assert response.get_json()["results"][0]["file_name"] == "a.fits"


def test_name_that_is_taken_gets_a_number(client: FlaskClient) -> None:
    names = [
        send(client, ("a.fits.gz", gzip.compress(fits_bytes(OBJECT=name)))).get_json()["results"][
            0
        ]["file_name"]
        for name in ("one", "two", "three")
    ]

    assert names == ["a.fits.gz", "a_1.fits.gz", "a_2.fits.gz"]


def test_name_of_a_file_that_is_gone_is_not_taken_again(client: FlaskClient) -> None:
    send(client, ("keep.fits", fits_bytes(OBJECT="0")))
    first = send(client, ("a.fits", fits_bytes(OBJECT="1"))).get_json()["results"][0]
    paths.current().locate(first["full_path"]).unlink()
    ingest.scan()

    second = send(client, ("a.fits", fits_bytes(OBJECT="2"))).get_json()["results"][0]

    assert second["file_name"] == "a_1.fits"


def test_duplicate_is_refused_by_name_and_the_others_are_kept(client: FlaskClient) -> None:
    send(client, ("a.fits", fits_bytes()))

    response = send(client, ("b.fits", fits_bytes()), ("c.fits", fits_bytes(OBJECT="new")))

    assert response.status_code == 201
    assert [one["file_name"] for one in response.get_json()["results"]] == ["c.fits"]
    (refused,) = response.get_json()["refused"]
    assert (refused["file_name"], refused["state"]) == ("b.fits", "duplicate")
    assert "a.fits" in refused["reason"]
    assert [path.rpartition("/")[2] for path in in_raw()] == ["a.fits", "c.fits"]


def test_two_files_of_one_content_in_one_request_are_one_frame(client: FlaskClient) -> None:
    response = send(client, ("a.fits", fits_bytes()), ("b.fits", fits_bytes()))

    assert response.status_code == 201
    assert [one["file_name"] for one in response.get_json()["results"]] == ["a.fits"]
    assert response.get_json()["refused"][0]["state"] == "duplicate"


def test_only_duplicates_are_a_conflict(client: FlaskClient) -> None:
    send(client, ("a.fits", fits_bytes()))

    response = send(client, ("b.fits", fits_bytes()))

    assert response.status_code == 409
    assert response.get_json()["results"] == []
    assert "b.fits" in response.get_json()["detail"]


def test_duplicate_of_a_hidden_frame_does_not_tell_its_name(
    app: Flask, client: FlaskClient, staff: User
) -> None:
    member = make_user("member")
    proposal_of(member)
    hidden = fits_bytes(PROPID="2026A-7", DATE_OBS="2026-11-20T01:00:00")
    assert send(client_of(app, member), ("secret_target.fits", hidden)).status_code == 201
    settings.change("access", "visibility", "members", by=staff)

    response = send(client_of(app, staff), ("mine.fits", hidden))
    blind = send(client, ("mine.fits", hidden))

    assert "secret_target" in response.text
    assert "secret_target" not in blind.text


def test_quarantined_upload_is_not_kept_and_says_why(client: FlaskClient) -> None:
    response = send(client, ("cut.fits", fits_bytes()[:3000]))

    assert response.status_code == 400
    (refused,) = response.get_json()["refused"]
    assert (refused["state"], refused["code"]) == ("quarantined", "truncated")
    assert in_raw() == []
    assert db.session.scalars(select(ScannedFile)).all() == []
    assert waiting() == []


def test_file_of_a_proposal_with_people_is_refused_to_others(
    app: Flask, client: FlaskClient
) -> None:
    member = make_user("member")
    proposal_of(member)
    content = fits_bytes(PROPID="2026A-7")

    refused = send(client, ("own.fits", fits_bytes()), ("theirs.fits", content))
    allowed = send(client_of(app, member), ("theirs.fits", content))

    assert refused.status_code == 403
    assert "2026A-7" in refused.get_json()["detail"]
    assert allowed.status_code == 201
    assert allowed.get_json()["results"][0]["proposal_id"] == "2026A-7"
    assert [path.rpartition("/")[2] for path in in_raw()] == ["theirs.fits"]


def test_file_that_was_lost_and_comes_back_keeps_its_frame_and_whose_it_was(
    app: Flask, client: FlaskClient
) -> None:
    folder = paths.current().raw / "2026-11-20"
    folder.mkdir()
    (folder / "a.fits").write_bytes(fits_bytes())
    (folder / "stays.fits").write_bytes(fits_bytes(OBJECT="other"))
    os.utime(folder / "a.fits", (1e9, 1e9))
    os.utime(folder / "stays.fits", (1e9, 1e9))
    ingest.scan()
    before = db.session.scalars(select(Frame).where(Frame.file_name == "a.fits")).one()
    with transaction():
        assert before.file is not None
        before.file.content_sha256 = hashlib.sha256(fits_bytes()).hexdigest()
    (folder / "a.fits").unlink()
    ingest.scan()

    response = send(client, ("again.fits", fits_bytes()))

    assert response.status_code == 201, response.text
    assert response.get_json()["results"][0]["id"] == before.id
    db.session.refresh(before)
    assert before.owner_id is None
    assert before.unusable is None


def test_file_of_many_chunks_comes_whole_through_the_form(client: FlaskClient) -> None:
    pixels = np.random.default_rng(1).integers(0, 30_000, (1500, 1500))  # holds every byte there is
    content = fits_bytes(pixels)
    body = (
        b'--b\r\nContent-Disposition: form-data; name="f"; filename="a.fits"\r\n\r\n'
        + content
        + b"\r\n--b--\r\n"
    )

    response = client.post(
        "/api/files/",
        input_stream=BytesIO(body),
        content_type="multipart/form-data; boundary=b",
    )

    assert response.status_code == 201, response.text
    path = paths.current().locate(response.get_json()["results"][0]["full_path"])
    assert path.read_bytes() == content


# What a request must look like


@pytest.mark.parametrize(
    ("query", "body", "field"),
    [
        ("", b"", "file"),
        ("?file_name=x.fits", b"", "file"),
        ("", b'{"data_type": 0}', "file_name"),
        ("?file_name=x.txt", b"SIMPLE", "file_name"),
        ("?file_name=x.fits.bz2", b"BZh", "file_name"),
        ("?file_name=x.fits&data_type=7", fits_bytes(), "data_type"),
        ("?file_name=x.fits&data_type=-1", fits_bytes(), "data_type"),
        ("?file_name=x.fits&parent_file_id=1", fits_bytes(), "parent_file_id"),
        ("?file_name=x.fits&data_type=2&parent_file_id=99", fits_bytes(), "parent_file_id"),
        ("?file_name=x.fits&data_type=2&parent_file_id=x", fits_bytes(), "parent_file_id"),
        ("?file_name=x.fits&data_type=2&kind=flat", fits_bytes(), "kind"),
        ("?file_name=x.fits&data_type=1&kind=cake", fits_bytes(), "kind"),
    ],
)
def test_request_that_cannot_be_honoured_names_the_field(
    client: FlaskClient, query: str, body: bytes, field: str
) -> None:
    response = client.post(f"/api/files/{query}", data=body)

    assert response.status_code == 400, response.text
    assert list(response.get_json()) == [field]
    assert in_raw() == []
    assert waiting() == []


def test_more_bytes_than_allowed_are_refused_with_the_setting(client: FlaskClient) -> None:
    limit(max_mb=1)
    big = fits_bytes(np.zeros((1000, 1000)))

    declared = client.post("/api/files/?file_name=big.fits", data=big)
    streamed = client.post(
        "/api/files/?file_name=big.fits",
        input_stream=BytesIO(big),
        environ_overrides={"wsgi.input_terminated": True, "CONTENT_LENGTH": None},
    )

    for response in (declared, streamed):
        assert response.status_code == 400
        assert "uploads.max_mb" in response.get_json()["file"][0]
    assert waiting() == []


def test_more_files_than_allowed_are_refused_with_the_setting(client: FlaskClient) -> None:
    limit(max_files=2)

    response = send(client, *((f"{n}.fits", fits_bytes(OBJECT=f"{n}")) for n in range(3)))

    assert response.status_code == 400
    assert "uploads.max_files" in response.get_json()["file"][0]
    assert in_raw() == []


def test_client_that_goes_away_half_way_leaves_nothing(client: FlaskClient) -> None:
    whole = fits_bytes()
    head = b'--b\r\nContent-Disposition: form-data; name="f"; filename="a.fits"\r\n\r\n'
    promised = {"CONTENT_LENGTH": str(len(whole) + len(head) + 9)}
    gunicorn = {"wsgi.input_terminated": True}  # which ends the stream where the client did

    def cut(body: bytes, kind: str, server: dict[str, Any]) -> TestResponse:
        return client.post(
            "/api/files/?file_name=a.fits",
            input_stream=BytesIO(body),
            content_type=kind,
            environ_overrides={**promised, **server},
        )

    alone, multipart = "application/fits", "multipart/form-data; boundary=b"
    answers = [
        cut(whole[:2000], alone, {}),
        cut(whole[:2880], alone, gunicorn),
        cut(head + whole[:2000], multipart, {}),
        cut(head + whole[:2880], multipart, gunicorn),
        cut(head + whole + b"\r\n--b", multipart, gunicorn),
    ]

    for response in answers:
        assert response.status_code == 400, response.text
        assert "connection broke" in response.text
    assert in_raw() == []
    assert waiting() == []


def test_browser_uploads_with_its_token_in_the_form_or_in_the_header(
    app: Flask, observer: User
) -> None:
    browser = sign_in(app.test_client(), observer, "token")

    in_form = send(browser, ("a.fits", fits_bytes()), csrf_token="token")
    in_header = browser.post(
        "/api/files/?file_name=b.fits",
        data=fits_bytes(OBJECT="b"),
        headers={"X-CSRFToken": "token"},
    )
    without = send(browser, ("c.fits", fits_bytes(OBJECT="c")))

    assert (in_form.status_code, in_header.status_code) == (201, 201), in_form.text
    assert without.status_code == 403


def test_raw_that_cannot_be_written_to_is_said_in_a_sentence(client: FlaskClient) -> None:
    blocked = paths.current().raw / "uploads"
    blocked.write_text("a file where the folder should be")

    response = send(client, ("a.fits", fits_bytes()))

    assert response.status_code == 409
    assert "cannot be written to" in response.get_json()["detail"]
    assert waiting() == []


def test_raw_that_is_not_mounted_is_never_made(client: FlaskClient) -> None:
    raw = paths.current().raw
    raw.rmdir()

    response = send(client, ("a.fits", fits_bytes()))

    assert response.status_code == 503
    assert "mounted" in response.get_json()["detail"]
    assert not raw.exists()


def test_full_disk_is_said_before_anything_is_written(client: FlaskClient, staff: User) -> None:
    settings.change("disk", "reserve_mb", 10**9, by=staff)

    response = send(client, ("a.fits", fits_bytes()))

    assert response.status_code == 503
    assert "disk.reserve_mb" in response.get_json()["detail"]
    assert in_raw() == []


# What was made elsewhere


def test_master_made_elsewhere_rests_unused_until_it_is_validated(client: FlaskClient) -> None:
    response = send(
        client, ("flat_r.fits", fits_bytes(IMAGETYP="Master Flat")), data_type=1, kind="flat"
    )

    assert response.status_code == 201, response.text
    frame = db.session.get_one(Frame, response.get_json()["results"][0]["id"])
    assert (frame.level, frame.kind, frame.is_valid) == (1, "flat", False)
    assert frame.path.startswith("PROCESSED/UPLOADS/20")
    assert (paths.current().data / frame.path).is_file()
    assert in_raw() == []


def test_uploaded_master_is_put_into_use_by_staff_through_whichever_door(
    client: FlaskClient, observer: User, staff: User
) -> None:
    made = paths.current().data / register_master("dark", np.full(SHAPE, 7.0))
    as_master, as_raw = made.read_bytes(), made.read_bytes() + b"\0" * 2880
    made.unlink()
    uploaded = [
        send(client, ("m.fits", as_master), data_type=1, kind="dark"),
        send(client, ("r.fits", as_raw)),
    ]
    records = [response.get_json()["results"][0] for response in uploaded]

    master = db.session.get_one(Frame, records[0]["id"])
    with pytest.raises(NotAllowedError, match="looked at it"):
        frames.toggle_valid(master, by=observer)
    for record in records:
        with pytest.raises(NotAllowedError, match="looked at it"):
            blocks.register(BlockKind.DARK, record["full_path"], owner=observer)
    assert not master.is_valid

    assert frames.toggle_valid(master, by=staff).is_valid
    assert blocks.register(BlockKind.DARK, records[1]["full_path"], owner=staff).master_id


def test_master_that_does_not_say_of_what_is_refused(client: FlaskClient) -> None:
    response = send(client, ("x.fits", fits_bytes(IMAGETYP="Light Frame")), data_type=1)

    assert response.status_code == 400
    assert response.get_json()["refused"][0]["code"] == "no_master"


def test_reduced_file_names_its_raw_and_can_be_fetched(client: FlaskClient) -> None:
    raw = send(client, ("raw.fits", fits_bytes())).get_json()["results"][0]

    answer = send(
        client,
        ("red.fits", fits_bytes(OBJECT="NGC 1 reduced")),
        data_type=2,
        parent_file_id=raw["id"],
    )
    spectrum = send(
        client, ("spec.fits", fits_bytes(np.arange(50))), data_type=4, parent_file_id=raw["id"]
    )

    for response, level in ((answer, "2"), (spectrum, "4")):
        assert response.status_code == 201, response.text
        record = response.get_json()["results"][0]
        assert (record["data_type"], record["original_file_id"]) == (level, raw["id"])
        assert record["parent_file"] == "raw.fits"
        with client.get(f"/api/files/{record['id']}/download/") as download:
            assert download.status_code == 200
    listed = client.get(f"/api/files/?original_file_id={raw['id']}").get_json()
    assert listed["count"] == 3


def test_product_of_a_hidden_or_others_frame_is_refused(
    app: Flask, client: FlaskClient, staff: User
) -> None:
    member = make_user("member")
    proposal = proposal_of(member)
    theirs = make_frame(proposal_id=proposal.id, night=date(2099, 1, 1))

    seen = send(client, ("x.fits", fits_bytes()), data_type=2, parent_file_id=theirs.id)
    settings.change("access", "visibility", "members", by=staff)
    hidden = send(client, ("x.fits", fits_bytes()), data_type=2, parent_file_id=theirs.id)
    nowhere = send(client, ("x.fits", fits_bytes()), data_type=2, parent_file_id=999)

    assert seen.status_code == 403
    assert (hidden.status_code, nowhere.status_code) == (400, 400)
    assert hidden.text == nowhere.text.replace("999", str(theirs.id))


def test_product_of_a_proposals_frame_is_the_proposals(app: Flask) -> None:
    member = make_user("member")
    proposal = proposal_of(member)
    raw = make_frame(proposal_id=proposal.id)

    response = send(
        client_of(app, member), ("x.fits", fits_bytes()), data_type=2, parent_file_id=raw.id
    )

    record = response.get_json()["results"][0]
    assert record["proposal_id"] == "2026A-7"
    assert db.session.get_one(Frame, record["id"]).proposal_id == proposal.id


def test_header_of_a_damaged_product_is_refused_with_a_sentence(client: FlaskClient) -> None:
    _, product, _ = reduced()
    (paths.current().data / product.path).write_bytes(b"no longer what it was")

    response = client.get(f"/api/files/header/?id={product.id}")

    assert response.status_code == 409
    assert "cannot be read" in response.get_json()["detail"]


# Deleting


@pytest.mark.parametrize(
    "request_of",
    [
        lambda client, n: client.delete(f"/api/files/?id={n}"),
        lambda client, n: client.delete("/gsp/api/files/", json={"id": n}),
        lambda client, n: client.delete("/api/files/", data={"ids": f"{n}"}),
        lambda client, n: client.delete(
            "/api/files/", data=f'{{"ids": [{n}],}}', content_type="text/plain"
        ),
    ],
)
def test_reduced_file_is_deleted_with_its_picture_and_its_block_is_due_again(
    staff_client: FlaskClient, request_of: Any
) -> None:
    raw, product, block = reduced()
    product_id, data = product.id, paths.current().data

    response = request_of(staff_client, product_id)

    assert response.status_code == 200, response.text
    assert response.get_json()["deleted"] == [product_id]
    assert response.get_json()["blocks_due"] == [block.id]
    assert not is_there(product_id)
    assert not (data / f"PROCESSED/r/p{raw.id}.fits").exists()
    assert not (data / f"THUMBS/p{raw.id}.png").exists()
    assert db.session.get_one(Block, block.id).status == 0
    assert db.session.scalars(select(BlockFrame)).one().product_id is None
    assert db.session.get_one(Frame, raw.id).status == 0
    assert list((data / ".deleted").iterdir()) == []
    assert db.session.scalars(select(AuditEntry).where(AuditEntry.action == "deleted")).one()


def test_several_files_are_deleted_or_none(staff_client: FlaskClient) -> None:
    _, one, _ = reduced()
    raw, two, _ = reduced()

    refused = staff_client.delete("/api/files/", json={"ids": [one.id, two.id, raw.id]})
    missing = staff_client.delete("/api/files/", json={"ids": [one.id, 98765]})
    both = staff_client.delete(f"/api/files/?id={one.id},{two.id}")

    assert refused.status_code == 403
    assert "raw files are never deleted" in refused.get_json()["detail"]
    assert missing.status_code == 404
    assert both.get_json()["detail"] == "2 files deleted."


def test_nothing_named_is_a_bad_request(staff_client: FlaskClient) -> None:
    for call in ("/api/files/", "/api/files/?id=", "/api/files/?id=x", "/api/files/?id=-4"):
        assert staff_client.delete(call).status_code == 400


def test_file_is_deleted_by_its_uploader_and_its_proposals_people_alone(app: Flask) -> None:
    member, owner, other = make_user("member"), make_user("owner"), make_user("other")
    proposal = proposal_of(member)
    mine = reduced(owner_id=owner.id)[1].id
    theirs = reduced(proposal_id=proposal.id)[1].id

    def answer(user: User, frame_id: int) -> int:
        return client_of(app, user).delete(f"/api/files/?id={frame_id}").status_code

    assert (answer(other, mine), answer(other, theirs)) == (403, 403)
    assert (answer(owner, mine), answer(member, theirs)) == (200, 200)


def test_master_is_deleted_by_staff_once_nothing_was_made_with_it(
    client: FlaskClient, staff_client: FlaskClient
) -> None:
    master = make_frame("bias", level=1, path="MASTERS/BIAS/b.fits", file_name="b.fits")
    products = [reduced()[1] for _ in range(3)]
    block = make_block("bias", [make_frame("bias")], status=1, master_id=master.id)
    with transaction():
        for product in products:
            db.session.add(FrameParent(child_id=product.id, parent_id=master.id, role="bias"))
    call, ids = f"/api/files/?id={master.id}", [product.id for product in products]

    by_observer = client.delete(call)
    in_use = staff_client.delete(call)
    staff_client.delete("/api/files/", json={"ids": ids})
    free = staff_client.delete(call)

    assert by_observer.status_code == 403
    assert in_use.status_code == 409
    assert "3 files were made with it" in in_use.get_json()["detail"]
    assert free.status_code == 200, free.text
    db.session.rollback()
    assert db.session.get_one(Block, block.id).master_id is None


def test_block_that_only_stands_for_a_master_made_elsewhere_goes_with_it(
    staff_client: FlaskClient,
) -> None:
    master = make_frame("bias", level=1, path="MASTERS/b.fits")
    block = make_block("bias", status=1, master_id=master.id).id

    response = staff_client.delete(f"/api/files/?id={master.id}")

    assert response.status_code == 200, response.text
    db.session.rollback()
    assert db.session.get(Block, block) is None


def test_processed_file_that_lies_in_raw_stays(staff_client: FlaskClient) -> None:
    found = make_frame("bias", level=1, path="RAW/2026-11-20/master.fits")

    response = staff_client.delete(f"/api/files/?id={found.id}")

    assert response.status_code == 403
    assert "only ever read" in response.get_json()["detail"]


def test_hidden_file_is_not_there_to_delete(client: FlaskClient, staff: User) -> None:
    proposal = proposal_of(make_user("member"))
    hidden = reduced(proposal_id=proposal.id, night=date(2099, 1, 1))[1].id
    settings.change("access", "visibility", "members", by=staff)

    here, nowhere = (client.delete(f"/api/files/?id={n}") for n in (hidden, 98765))

    assert (here.status_code, nowhere.status_code) == (404, 404)
    assert here.text == nowhere.text.replace("98765", str(hidden))
